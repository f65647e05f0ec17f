/* Pools of up to CHANNELS channels, for window_kernels_body.h: what lies beside them is taken with them. */

#if HAVE_OWN_PRODUCT
#define PIECE_BYTES (VECTOR_BYTES < CHANNELS * sizeof(REAL) ? VECTOR_BYTES : CHANNELS * sizeof(REAL))
typedef REAL FEW(piece) __attribute__((vector_size(PIECE_BYTES), aligned(sizeof(REAL)), may_alias));
typedef __typeof__((FEW(piece)){0} == (FEW(piece)){0}) FEW(mask);
#define PIECE FEW(piece)
#define MASK FEW(mask)
#define PIECE_LANES ((ptrdiff_t)(PIECE_BYTES / sizeof(REAL)))
#define WHERE(mask, x, y) ((PIECE)(((mask) & (MASK)(x)) | (~(mask) & (MASK)(y))))
#else
#define PIECE REAL
#define MASK int
#define PIECE_LANES 1
#define WHERE(mask, x, y) ((mask) ? (x) : (y))
#endif
#define LOAD_PIECE(p) (*(const PIECE *)(p))

/* z = the maximum over the places of each window of a line, of CHANNELS channels that lie side by side, or NaN if there is one;
 * `kept` its place, the first of equal ones, unless it is NULL. */
FN_INLINE void FEW(largest)(ptrdiff_t height, ptrdiff_t width, const struct kernel_places *window, ptrdiff_t columns, ptrdiff_t across,
                            ptrdiff_t channels, const REAL *restrict a, REAL *restrict z, REAL *restrict kept)
{
    for (ptrdiff_t j = 0; j < columns; j++, a += across, z += channels)
#pragma GCC unroll 16
        for (ptrdiff_t v = 0; v < CHANNELS; v += PIECE_LANES) {
            const PIECE zero = {0};
            PIECE largest = LOAD_PIECE(a + v), place = zero;
            for (ptrdiff_t k = 0; k < height; k++)
                for (ptrdiff_t l = 0; l < width; l++) {
                    const ptrdiff_t here = k * window->line_step + l * window->step;
                    const PIECE x = LOAD_PIECE(a + here + v);
                    const MASK larger = (x > largest) | (x != x);
                    largest = WHERE(larger, x, largest);
                    place = WHERE(larger, zero + (REAL)here, place);
                }
            *(PIECE *)(z + v) = largest;
            if (kept)
                *(PIECE *)(kept + j * channels + v) = place;
        }
}

/* z = the means likewise. */
FN_INLINE void FEW(means)(const struct kernel_places *window, ptrdiff_t columns, ptrdiff_t across, ptrdiff_t channels,
                          const REAL *restrict a, REAL *restrict z)
{
    const REAL share = 1 / (REAL)(window->height * window->width);
    for (ptrdiff_t j = 0; j < columns; j++, a += across, z += channels)
#pragma GCC unroll 16
        for (ptrdiff_t v = 0; v < CHANNELS; v += PIECE_LANES) {
            PIECE sum = {0};
            for (ptrdiff_t k = 0; k < window->height; k++)
                for (ptrdiff_t l = 0; l < window->width; l++)
                    sum += share * LOAD_PIECE(a + k * window->line_step + l * window->step + v);
            *(PIECE *)(z + v) = sum;
        }
}

/* da = dz of the channels whose maximum is there, of line k of the windows of a line, which lie side by side. */
FN_INLINE void FEW(slopes)(ptrdiff_t width, ptrdiff_t k, const struct kernel_places *window, ptrdiff_t columns, ptrdiff_t channels,
                           const REAL *restrict dz, const REAL *restrict kept, REAL *restrict da)
{
    for (ptrdiff_t j = 0; j < columns; j++, dz += channels, kept += channels)
        for (ptrdiff_t l = 0; l < width; l++, da += channels)
#pragma GCC unroll 16
            for (ptrdiff_t v = 0; v < CHANNELS; v += PIECE_LANES) {
                const PIECE zero = {0};
                const MASK here = LOAD_PIECE(kept + v) == zero + (REAL)(k * window->line_step + l * window->step);
                *(PIECE *)(da + v) = WHERE(here, LOAD_PIECE(dz + v), zero);
            }
}

#undef PIECE
#undef PIECE_BYTES
#undef PIECE_LANES
#undef MASK
#undef WHERE
#undef LOAD_PIECE
