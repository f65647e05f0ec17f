/* Elementary functions that compilers turn into vector code: no branches, no tables, no calls.
 *
 * Each is written once, in vecmath_body.h, over the names REAL, INT and the constants of its width, and
 * included here for float (suffix f) and double (suffix d). Coefficients are Chebyshev interpolants computed
 * with 60 digits. The error bounds stated are tested by tests/test_kernels.py.
 */
#ifndef FASTNET_VECMATH_H
#define FASTNET_VECMATH_H
#include <stdint.h>
#include <string.h>
#include <math.h>

#if defined(__GNUC__) || defined(__clang__)
#define FN_INLINE static inline __attribute__((always_inline))
#else
#define FN_INLINE static __forceinline
#endif

/* Klambauer et al., Self-Normalizing Neural Networks (2017) */
#define SELU_SCALE 1.0507009873554804934193349852946
#define SELU_ALPHA 1.6732632423543772848170429916717

#define REAL float
#define INT int32_t
#define UINT uint32_t
#define NAME(x) x##f
#define ROUNDER 12582912.0f          /* 1.5 * 2^23: adding it leaves round(x) in the low bits */
#define MANTISSA_BITS 23
#define LARGE 4194304.0f
#define BIAS 127
#define EXP_LOW -104.0f              /* below: 0 */
#define EXP_NORMAL -87.0f            /* below: subnormal */
#define EXP_HIGH 89.0f               /* above: inf */
#define LN2_HIGH 0.693359375f
#define LN2_LOW -2.12194440e-4f
#define MIN_NORMAL 1.17549435e-38f
#define SUBNORMAL_SCALE 8388608.0f
#define SQRT_HALF_BITS 0x3f3504f3
#define TAIL_CENTRE 3.0f
#define TAIL_LIMIT 14.5f
#define INFINITE ((REAL)INFINITY)
#define EXP_POLYNOMIAL(r) \
    (0.5000000014f + r * (0.1666666668f + r * (0.0416664642f + r * (0.008333310845f + r * (0.001393373072f \
    + r * 0.0001989108046f)))))
#define LOG_POLYNOMIAL(z) \
    (z * (0.66666666554f + z * (0.40000121875f + z * (0.28550816879f + z * 0.23330574329f))))
#define TAIL_POLYNOMIAL(t) \
    (0.1215139478f + t * (-0.2064026219f + t * (0.1232250162f + t * (-0.04621325403f + t * (0.006132236287f + \
    t * (0.002904479037f + t * (-0.000984372195f + t * (-0.0003396745735f + t * (0.0001162496159f + t * \
    5.415193896e-5f)))))))))
#define TURN_POLYNOMIAL(t) \
    (-41.34170223f + t * (81.60524375f + t * (-76.70515119f + t * (42.02686349f + t * -14.50903302f))))
#include "vecmath_body.h"

#define REAL double
#define INT int64_t
#define UINT uint64_t
#define NAME(x) x##d
#define ROUNDER 6755399441055744.0   /* 1.5 * 2^52 */
#define MANTISSA_BITS 52
#define LARGE 2251799813685248.0
#define BIAS 1023
#define EXP_LOW -746.0
#define EXP_NORMAL -708.0
#define EXP_HIGH 710.0
#define LN2_HIGH 6.93147180369123816490e-01
#define LN2_LOW 1.90821492927058770002e-10
#define MIN_NORMAL 2.2250738585072014e-308
#define SUBNORMAL_SCALE 4503599627370496.0
#define SQRT_HALF_BITS 0x3fe6a09e667f3bcd
#define TAIL_CENTRE 4.5
#define TAIL_LIMIT 39.0
#define INFINITE ((REAL)INFINITY)
#define EXP_POLYNOMIAL(r) \
    (0.5 + r * (0.1666666666666667103 + r * (0.041666666666666669783 + r * (0.0083333333333260831202 + r * \
    (0.0013888888888883711167 + r * (0.00019841269875002278793 + r * (0.0000248015873256774619 + r * \
    (2.7557255170000887438e-6 + r * (2.7557273478718580474e-7 + r * (2.5105312729622101787e-8 + r * \
    2.09147553258932022e-9))))))))))
#define LOG_POLYNOMIAL(z) \
    (z * (0.66666666666666666465 + z * (0.40000000000000877565 + z * (0.28571428570803255344 + z * \
    (0.22222222391794727509 + z * (0.18181795631498243603 + z * (0.15386240172447836898 + z * \
    (0.1326876056203672543 + z * 0.13086757666952071267))))))))
#define TAIL_POLYNOMIAL(t) \
    (0.084803392107800347585 + t * (-0.15594314324698002492 + t * (0.12074558636758858289 + t * \
    (-0.077732701889627448153 + t * (0.040502710724561906128 + t * (-0.016139324749702136902 + t * \
    (0.0042327710622992154592 + t * (-0.0002749758682081329731 + t * (-0.00029628634596713096238 + t * \
    (0.00010268085253134031303 + t * (0.000011740207426036919122 + t * (-0.000014219544757690016397 + t * \
    (1.8842393546171791579e-7 + t * (1.9362725573404646947e-6 + t * (-1.1596624633590556747e-7 + t * \
    (-2.9371714320237726123e-7 + t * (1.2764183885643426553e-8 + t * (4.8941357399920866911e-8 + t * \
    (1.6431475480062005264e-9 + t * (-7.9336206460231065204e-9 + t * (-1.260714315629626829e-9 + t * \
    (8.8477524181746004819e-10 + t * 2.731668400428232762e-10))))))))))))))))))))))
#define TURN_POLYNOMIAL(t) \
    (-41.341702240399760234 + t * (81.605249276075054203 + t * (-76.705859753061385588 + t * (42.058693944897601242 + t * \
    (-15.09464257681759076 + t * (3.8199525845255923835 + t * (-0.71812229003599252542 + t * (0.10422889764164951373 + t * \
    (-0.01202798092180089448 + t * 0.0011036737295788866049)))))))))
#include "vecmath_body.h"
#endif
