/* The bodies of vecmath.h for one width, whose constants it undefines at its end. */

FN_INLINE INT NAME(bits_)(REAL x) { INT i; memcpy(&i, &x, sizeof i); return i; }
FN_INLINE REAL NAME(from_bits_)(INT i) { REAL x; memcpy(&x, &i, sizeof x); return x; }
FN_INLINE REAL NAME(abs_)(REAL x) { return NAME(from_bits_)(NAME(bits_)(x) & (INT)(~(UINT)0 >> 1)); }
FN_INLINE REAL NAME(power_of_two_)(INT n) { return NAME(from_bits_)((INT)((UINT)(n + BIAS) << MANTISSA_BITS)); }


/* The nearest integer; numbers too large to have a fraction are their own. */
FN_INLINE REAL NAME(nearest_)(REAL x)
{
    const REAL whole = (x + ROUNDER) - ROUNDER;
    return NAME(abs_)(x) < LARGE ? whole : x;
}

/* exp(x) = 2^n (1 + q): returns q, and n through its bits. Cody and Waite's reduction, |r| <= ln(2) / 2. */
FN_INLINE REAL NAME(exp_reduced_)(REAL x, INT *n)
{
    const REAL shifted = x * (REAL)1.4426950408889634074 + ROUNDER;
    const REAL whole = shifted - ROUNDER;
    REAL r = x - whole * LN2_HIGH;
    r = r - whole * LN2_LOW;
    *n = NAME(bits_)(shifted) - NAME(bits_)(ROUNDER);
    return r + r * r * EXP_POLYNOMIAL(r);
}

/* e^x, at most 1.5 ulp (2 in double); exact at 0, inf and -inf; NaN stays NaN; subnormal results by scaling in two steps. */
FN_INLINE REAL NAME(exp_)(REAL x)
{
    INT n;
    x = x < EXP_LOW ? EXP_LOW : x;
    x = x > EXP_HIGH ? EXP_HIGH : x;
    const REAL q = NAME(exp_reduced_)(x, &n);
    const INT half = n >> 1;
    return (1 + q) * NAME(power_of_two_)(half) * NAME(power_of_two_)(n - half);
}

/* e^x - 1 for x <= 0, without cancellation near 0: 2^n q + (2^n - 1). */
FN_INLINE REAL NAME(expm1_negative_)(REAL x)
{
    INT n;
    x = x < (REAL)-40 ? (REAL)-40 : x;
    const REAL q = NAME(exp_reduced_)(x, &n);
    const REAL scale = NAME(power_of_two_)(n);
    return scale * q + (scale - 1);
}

/* y with the sign of x, for a y that has none. */
FN_INLINE REAL NAME(with_sign_)(REAL y, REAL x)
{
    return NAME(from_bits_)(NAME(bits_)(y) | (NAME(bits_)(x) & (INT)~(~(UINT)0 >> 1)));
}

/* 1 - e^(-2|x|), with the sign of x. */
FN_INLINE REAL NAME(half_tanh_)(REAL x)
{
    return NAME(with_sign_)(NAME(abs_)(NAME(expm1_negative_)(-2 * NAME(abs_)(x))), x);
}

/* tanh(x) = m / (2 - |m|) with m = half_tanh_(x), at most 3 ulp. */
FN_INLINE REAL NAME(tanh_)(REAL x)
{
    const REAL m = NAME(half_tanh_)(x);
    return m / (2 - NAME(abs_)(m));
}

/* 1 / (1 + e^-x) with the exponential of -|x| only, so that nothing overflows; at most 3 ulp. */
FN_INLINE REAL NAME(sigmoid_)(REAL x)
{
    const REAL e = NAME(exp_)(-NAME(abs_)(x));
    return (x < 0 ? e : (REAL)1) / (1 + e);
}

/* e^x for x <= 0, or up to 80, or the smallest normal number. */
FN_INLINE REAL NAME(exp_negative_)(REAL x)
{
    INT n;
    const REAL q = NAME(exp_reduced_)(x < EXP_NORMAL ? EXP_NORMAL : x, &n);
    return (1 + q) * NAME(power_of_two_)(n);
}

/* The gates of recurrences are made in two halves, in loops of their own: one loop would wait for the long chain of the exponential, since
 * a processor looks only some 250 instructions ahead. An epoch of an LSTM of 64 units took 1.03 times as long, of a GRU 1.07. The first
 * half is `half_tanh_`, and for a sigmoid e^-|x| with the sign of x. */
FN_INLINE REAL NAME(half_sigmoid_)(REAL x) { return NAME(with_sign_)(NAME(exp_negative_)(-NAME(abs_)(x)), x); }

/* The second half: a division of 16 floats takes as long as 30 multiplications, so that the reciprocal of the product of the
 * denominators, which lie between 1 and 2, makes those of all. For an LSTM sigmoids of i, f and o, and the tanh of g. */
FN_INLINE void NAME(lstm_gates_)(REAL *i, REAL *f, REAL *g, REAL *o)
{
    const REAL ei = NAME(abs_)(*i), ef = NAME(abs_)(*f), eo = NAME(abs_)(*o);
    const REAL di = 1 + ei, df = 1 + ef, dg = 2 - NAME(abs_)(*g), d_o = 1 + eo, d_if = di * df, d_go = dg * d_o;
    const REAL one = 1 / (d_if * d_go), of_if = one * d_go, of_go = one * d_if;
    *i = (*i < 0 ? ei : (REAL)1) * (of_if * df);
    *f = (*f < 0 ? ef : (REAL)1) * (of_if * di);
    *g = *g * (of_go * d_o);
    *o = (*o < 0 ? eo : (REAL)1) * (of_go * dg);
}

/* For a GRU sigmoids of r and z. */
FN_INLINE void NAME(gru_gates_)(REAL *r, REAL *z)
{
    const REAL er = NAME(abs_)(*r), ez = NAME(abs_)(*z), dr = 1 + er, dz = 1 + ez, one = 1 / (dr * dz);
    *r = (*r < 0 ? er : (REAL)1) * (one * dz);
    *z = (*z < 0 ? ez : (REAL)1) * (one * dr);
}

/* ln(x), at most 2 ulp; -inf at 0, NaN below 0. x = 2^n (1 + f), s = f / (2 + f). */
FN_INLINE REAL NAME(log_)(REAL x)
{
    const int small = x < MIN_NORMAL;
    const REAL scaled = small ? x * SUBNORMAL_SCALE : x;
    const INT offset = (INT)((UINT)NAME(bits_)(scaled) - (UINT)SQRT_HALF_BITS);
    const INT n = (offset >> MANTISSA_BITS) - (small ? MANTISSA_BITS : 0);
    const REAL m = NAME(from_bits_)((offset & (((INT)1 << MANTISSA_BITS) - 1)) + (INT)SQRT_HALF_BITS);
    const REAL f = m - 1;
    const REAL s = f / (2 + f);
    const REAL z = s * s;
    const REAL half_square = (REAL)0.5 * f * f;
    const REAL whole = NAME(from_bits_)((INT)(n + NAME(bits_)(ROUNDER))) - ROUNDER;
    REAL y = whole * LN2_HIGH + (f - (half_square - (s * (half_square + LOG_POLYNOMIAL(z)) + whole * LN2_LOW)));
    y = x == INFINITE ? x : y;
    y = x == 0 ? -INFINITE : y;
    return x < 0 || x != x ? (REAL)NAN : y;
}

/* ln(1 + y) for 0 <= y <= 1, the rounding of 1 + y put right. */
FN_INLINE REAL NAME(log1p_)(REAL y)
{
    const REAL u = 1 + y;
    return NAME(log_)(u) + (y - (u - 1)) / u;
}

/* ln(1 + e^x) = max(x, 0) + ln(1 + e^-|x|) */
FN_INLINE REAL NAME(softplus_)(REAL x)
{
    return (x > 0 ? x : x != x ? x : (REAL)0) + NAME(log1p_)(NAME(exp_)(-NAME(abs_)(x)));
}

/* The normal distribution's upper tail 1 - Phi(x) for x >= 0 is e^(-x^2/2) times a polynomial in (x - c) / (x + c);
 * returns Phi(x) for any x and its density through *density. Relative error of the polynomial: 3e-8 (float), 8e-17. */
FN_INLINE REAL NAME(normal_)(REAL x, REAL *density)
{
    REAL a = NAME(abs_)(x);
    a = a > TAIL_LIMIT ? TAIL_LIMIT : a;
    const REAL t = (a - TAIL_CENTRE) / (a + TAIL_CENTRE);
    const REAL e = NAME(exp_)((REAL)-0.5 * a * a);
    const REAL tail = e * TAIL_POLYNOMIAL(t);
    *density = e * (REAL)0.39894228040143267794;
    return x < 0 ? tail : 1 - tail;
}

/* tanh(ln(1 + e^x)) = w / (w + 2) with w = e^x (e^x + 2); the factor of mish. */
FN_INLINE REAL NAME(mish_factor_)(REAL x)
{
    const REAL e = NAME(exp_)(x > 30 ? (REAL)30 : x);
    const REAL w = e * (e + 2);
    return w / (w + 2);
}

/* mish(x), and its derivative t + 4 x e (e + 1) / (w + 2)^2 through *slope: its factor t, e = e^x and w as above. From 20 on, t is 1. */
FN_INLINE REAL NAME(mish_)(REAL x, REAL *slope)
{
    const REAL e = NAME(exp_negative_)(x > 20 ? (REAL)20 : x);
    const REAL w = e * (e + 2), inverse = 1 / (w + 2), factor = w * inverse;
    *slope = factor + x * (4 * e * (e + 1) * inverse * inverse);
    return x * factor;
}

/* sin(2 pi x) for |x| <= 1/4. */
FN_INLINE REAL NAME(quarter_turn_)(REAL x)
{
    const REAL t = x * x;
    return x * ((REAL)6.2831853071795864769 + t * TURN_POLYNOMIAL(t));
}

/* cos(2 pi x) and, through *sine, sin(2 pi x): an absolute error of 2e-7 (4e-16); NaN for infinities, and for NaN. */
FN_INLINE REAL NAME(turn_)(REAL x, REAL *sine)
{
    const REAL r = x - NAME(nearest_)(x);
    const REAL a = NAME(abs_)(r);
    const REAL s = NAME(quarter_turn_)(a > (REAL)0.25 ? (REAL)0.5 - a : a);
    *sine = r < 0 ? -s : s;
    return NAME(quarter_turn_)((REAL)0.25 - a);
}

#undef REAL
#undef INT
#undef UINT
#undef NAME
#undef ROUNDER
#undef MANTISSA_BITS
#undef BIAS
#undef EXP_LOW
#undef EXP_NORMAL
#undef EXP_HIGH
#undef LN2_HIGH
#undef LN2_LOW
#undef MIN_NORMAL
#undef SUBNORMAL_SCALE
#undef SQRT_HALF_BITS
#undef TAIL_CENTRE
#undef TAIL_LIMIT
#undef INFINITE
#undef EXP_POLYNOMIAL
#undef LOG_POLYNOMIAL
#undef TAIL_POLYNOMIAL
#undef TURN_POLYNOMIAL
#undef LARGE
