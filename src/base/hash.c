/* hash.c - SHA-256 (FIPS 180-4) for what is reported of files, and a fast hash for tables in memory. */
#include "src/base/base.h"

#include <string.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

/* FIPS 180-4, 4.2.2: the first 32 bits of the fractional parts of the cube roots of the first 64 primes. */
static const uint32_t round_constants[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static uint32_t rotate_right(uint32_t x, unsigned n)
{
    return x >> n | x << (32 - n);
}

/* 6.2.2: one block of 64 bytes into the state; letters as in the standard. */
static void plain_block(uint32_t state[8], const unsigned char *block)
{
    uint32_t w[64];
    for (int t = 0; t < 16; t++) {
        const unsigned char *p = block + 4 * t;
        w[t] = (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | (uint32_t)p[3];
    }
    for (int t = 16; t < 64; t++) {
        uint32_t x = w[t - 15], y = w[t - 2];
        uint32_t s0 = rotate_right(x, 7) ^ rotate_right(x, 18) ^ x >> 3;
        uint32_t s1 = rotate_right(y, 17) ^ rotate_right(y, 19) ^ y >> 10;
        w[t] = s1 + w[t - 7] + s0 + w[t - 16];
    }
    uint32_t a = state[0], b = state[1], c = state[2], d = state[3];
    uint32_t e = state[4], f = state[5], g = state[6], h = state[7];
    for (int t = 0; t < 64; t++) {
        uint32_t sum1 = rotate_right(e, 6) ^ rotate_right(e, 11) ^ rotate_right(e, 25);
        uint32_t sum0 = rotate_right(a, 2) ^ rotate_right(a, 13) ^ rotate_right(a, 22);
        uint32_t t1 = h + sum1 + ((e & f) ^ (~e & g)) + round_constants[t] + w[t];
        uint32_t t2 = sum0 + ((a & b) ^ (a & c) ^ (b & c));
        h = g;
        g = f;
        f = e;
        e = d + t1;
        d = c;
        c = b;
        b = a;
        a = t1 + t2;
    }
    state[0] += a;
    state[1] += b;
    state[2] += c;
    state[3] += d;
    state[4] += e;
    state[5] += f;
    state[6] += g;
    state[7] += h;
}

#if defined(__x86_64__)
/* The same with the instructions made for it: two rounds each, on the state as A B E F and C D G H. Source: Intel SDM vol. 2,
 * SHA256RNDS2, SHA256MSG1, SHA256MSG2. */
__attribute__((target("sha,sse4.1"))) static void fast_blocks(uint32_t state[8], const unsigned char *p, size_t n)
{
    const __m128i swap = _mm_set_epi8(12, 13, 14, 15, 8, 9, 10, 11, 4, 5, 6, 7, 0, 1, 2, 3);
    __m128i badc = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)(const void *)state), 0xb1);
    __m128i hgfe = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)(const void *)(state + 4)), 0x1b);
    __m128i abef = _mm_alignr_epi8(badc, hgfe, 8), cdgh = _mm_blend_epi16(hgfe, badc, 0xf0);
    for (; n > 0; n--, p += 64) {
        __m128i was_abef = abef, was_cdgh = cdgh, w[4];
        for (int i = 0; i < 4; i++)
            w[i] = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(const void *)(p + 16 * i)), swap);
        for (int t = 0; t < 16; t++) { /* four rounds; w[t % 4] becomes the words of four steps on */
            __m128i *now = &w[t & 3], next = w[(t + 1) & 3], behind = w[(t + 2) & 3], last = w[(t + 3) & 3];
            __m128i k = _mm_add_epi32(*now, _mm_loadu_si128((const __m128i *)(const void *)(round_constants + 4 * t)));
            cdgh = _mm_sha256rnds2_epu32(cdgh, abef, k);
            abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32(k, 0x0e));
            *now = _mm_sha256msg2_epu32(_mm_add_epi32(_mm_sha256msg1_epu32(*now, next), _mm_alignr_epi8(last, behind, 4)), last);
        }
        abef = _mm_add_epi32(abef, was_abef);
        cdgh = _mm_add_epi32(cdgh, was_cdgh);
    }
    __m128i feba = _mm_shuffle_epi32(abef, 0x1b), dchg = _mm_shuffle_epi32(cdgh, 0xb1);
    _mm_storeu_si128((__m128i *)(void *)state, _mm_blend_epi16(feba, dchg, 0xf0));
    _mm_storeu_si128((__m128i *)(void *)(state + 4), _mm_alignr_epi8(dchg, feba, 8));
}
#endif

static void add_blocks(Sha256 *sha, const unsigned char *p, size_t n)
{
#if defined(__x86_64__)
    if (!sha->plain && cpu_features().sha) {
        fast_blocks(sha->state, p, n);
        return;
    }
#endif
    for (; n > 0; n--, p += 64)
        plain_block(sha->state, p);
}

void sha256_init(Sha256 *sha)
{
    /* 5.3.3: the same of the square roots of the first 8 primes. */
    *sha = (Sha256){.state = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                              0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19}};
}

void sha256_add(Sha256 *sha, const void *data, size_t bytes)
{
    const unsigned char *p = data;
    size_t held = (size_t)(sha->bytes % 64);
    sha->bytes += bytes;
    if (held > 0) {
        size_t part = MIN(bytes, 64 - held);
        if (part > 0)
            memcpy(sha->block + held, p, part);
        if (held + part < 64)
            return;
        add_blocks(sha, sha->block, 1);
        p += part;
        bytes -= part;
    }
    if (bytes >= 64)
        add_blocks(sha, p, bytes / 64);
    if (bytes % 64 > 0)
        memcpy(sha->block, p + bytes / 64 * 64, bytes % 64);
}

void sha256_hex(Sha256 *sha, char ret_hex[65])
{
    /* 5.1.1: a one bit, zeros up to 56 bytes of a block, the length in bits as 8 bytes. */
    static const unsigned char padding[64] = {0x80};
    static const char digits[] = "0123456789abcdef";
    uint64_t bits = sha->bytes * 8;
    unsigned char length[8];
    for (int i = 0; i < 8; i++)
        length[i] = (unsigned char)(bits >> (56 - 8 * i));
    size_t held = (size_t)(sha->bytes % 64);
    sha256_add(sha, padding, held < 56 ? 56 - held : 120 - held);
    sha256_add(sha, length, sizeof length);
    for (int i = 0; i < 64; i++)
        ret_hex[i] = digits[sha->state[i / 8] >> (28 - 4 * (i % 8)) & 15];
    ret_hex[64] = '\0';
}

/* Eight bytes at a time, each folded in by xor, multiply and shift, then a last mixing in which every input bit reaches
 * every output bit. Depends on the byte order: for tables in memory, never for what is written. */
uint64_t hash_bytes(const void *data, size_t bytes, uint64_t seed)
{
    const uint64_t odd1 = 0x9e3779b97f4a7c15u; /* 2^64 / golden ratio */
    const uint64_t odd2 = 0xd1b54a32d192ed03u; /* 2^64 / plastic number squared, made odd */
    const unsigned char *p = data;
    uint64_t hash = (seed ^ (uint64_t)bytes) * odd1;
    uint64_t word;
    for (; bytes >= 8; p += 8, bytes -= 8) {
        memcpy(&word, p, 8);
        hash = (hash ^ word) * odd1;
        hash ^= hash >> 32;
    }
    if (bytes > 0) {
        word = 0;
        memcpy(&word, p, bytes);
        hash = (hash ^ word) * odd1;
    }
    hash = (hash ^ hash >> 32) * odd2;
    hash = (hash ^ hash >> 29) * odd1;
    return hash ^ hash >> 32;
}
