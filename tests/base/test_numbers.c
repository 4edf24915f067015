/* test_numbers.c - hashes, 16-bit floats, and what is said of the machine. */
#include "tests/test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void check_sha(const char *data, size_t bytes, size_t step, const char *expected)
{
    for (int plain = 0; plain < 2; plain++) {
        Sha256 sha;
        char hex[65];
        sha256_init(&sha);
        sha.plain = plain != 0;
        for (size_t i = 0; i < bytes; i += step)
            sha256_add(&sha, data + i, MIN(step, bytes - i));
        sha256_hex(&sha, hex);
        CHECK_TEXT(hex, expected);
    }
}

/* The examples of NIST for the standard, in one piece and in pieces around the size of a block. */
TEST(sha256_gives_the_published_digests)
{
    check_sha("", 0, 1, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    check_sha("abc", 3, 3, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    static const char two_blocks[] = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
    check_sha(two_blocks, 56, 56, "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    char *million = xcalloc(1000000, 1);
    memset(million, 'a', 1000000);
    static const size_t steps[] = {1, 63, 64, 65, 1000, 1000000};
    for (size_t i = 0; i < COUNT_OF(steps); i++)
        check_sha(million, 1000000, steps[i], "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    free(million);
}

TEST(sha256_takes_nothing_at_any_time)
{
    Sha256 sha;
    char hex[65];
    sha256_init(&sha);
    sha256_add(&sha, NULL, 0);
    sha256_add(&sha, "abc", 3);
    sha256_add(&sha, NULL, 0);
    sha256_hex(&sha, hex);
    CHECK_TEXT(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

static int compare_hashes(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

TEST(hash_spreads_similar_keys)
{
    enum { N = 20000, BUCKETS = 256 };
    uint64_t *hashes = xcalloc(N, sizeof *hashes);
    int low[BUCKETS] = {0}, high[BUCKETS] = {0};
    char key[32];
    for (int i = 0; i < N; i++) {
        int length = snprintf(key, sizeof key, "onnx::Conv_%d", i);
        hashes[i] = hash_bytes(key, (size_t)length, 0);
        low[hashes[i] % BUCKETS]++;
        high[hashes[i] >> 56]++;
    }
    for (int i = 0; i < BUCKETS; i++) { /* expected 78, standard deviation 9 */
        CHECK(low[i] > 30 && low[i] < 140);
        CHECK(high[i] > 30 && high[i] < 140);
    }
    qsort(hashes, N, sizeof *hashes, compare_hashes);
    for (int i = 1; i < N; i++)
        CHECK(hashes[i] != hashes[i - 1]);
    free(hashes);
    CHECK(hash_bytes(NULL, 0, 1) != hash_bytes(NULL, 0, 2));
    CHECK(hash_bytes("\0", 1, 0) != hash_bytes("\0\0", 2, 0));
    CHECK(hash_bytes(&"xabcdefghij"[1], 10, 5) == hash_bytes("abcdefghij", 10, 5)); /* any alignment */
}

/* Each finite half is its sign * mantissa * 2^exponent, and comes back from float as it was. */
TEST(half_round_trips_exactly)
{
    int wrong = 0;
    for (uint32_t h = 0; h < 0x10000; h++) {
        float f = half_to_float((uint16_t)h);
        int exponent = (int)(h >> 10 & 31), mantissa = (int)(h & 0x3FF);
        if (exponent == 31) {
            wrong += mantissa == 0 ? !isinf(f) : !isnan(f);
            wrong += (signbit(f) != 0) != (h >> 15);
            wrong += float_to_half(f) != (mantissa == 0 ? h : (h | 0x200)); /* NaN becomes quiet */
            continue;
        }
        double value = exponent == 0 ? ldexp(mantissa, -24) : ldexp(mantissa + 1024, exponent - 25);
        wrong += (double)fabsf(f) != value || (signbit(f) != 0) != (h >> 15);
        wrong += float_to_half(f) != h;
    }
    CHECK_INT(wrong, 0);
}

/* Between each two neighbours: just below the middle rounds down, just above up, the middle to the even one. */
TEST(half_rounds_to_even)
{
    int wrong = 0;
    for (uint16_t h = 0; h < 0x7C00; h++) {
        float low = half_to_float(h), high = h == 0x7BFF ? 65536.0f : half_to_float((uint16_t)(h + 1));
        float middle = 0.5f * (low + high); /* exact in float */
        uint16_t even = (uint16_t)((h & 1) == 0 ? h : h + 1);
        wrong += float_to_half(middle) != even;
        wrong += float_to_half(nextafterf(middle, 0.0f)) != h;
        wrong += float_to_half(nextafterf(middle, INFINITY)) != h + 1;
        wrong += float_to_half(-middle) != (even | 0x8000);
    }
    CHECK_INT(wrong, 0);
    CHECK_INT(float_to_half(3.4e38f), 0x7C00);
    CHECK_INT(float_to_half(-INFINITY), 0xFC00);
    CHECK_INT(float_to_half(1e-45f), 0);
    CHECK_INT(float_to_half(-0.0f), 0x8000);
}

TEST(bfloat_rounds_to_even)
{
    CHECK_NEAR(bfloat_to_float(0x3F80), 1.0, 0.0);
    int wrong = 0;
    for (uint32_t b = 0; b < 0x7F80; b++) {
        float low = bfloat_to_float((uint16_t)b);
        double high = b == 0x7F7F ? ldexp(1.0, 128) : (double)bfloat_to_float((uint16_t)(b + 1));
        float middle = (float)(0.5 * ((double)low + high));
        uint32_t even = (b & 1) == 0 ? b : b + 1;
        wrong += float_to_bfloat(low) != b || float_to_bfloat(-low) != (b | 0x8000);
        wrong += float_to_bfloat(middle) != even;
        wrong += float_to_bfloat(nextafterf(middle, 0.0f)) != b;
        wrong += float_to_bfloat(nextafterf(middle, INFINITY)) != b + 1;
    }
    CHECK_INT(wrong, 0);
    CHECK(isinf(bfloat_to_float(0xFF80)));
    CHECK_INT(float_to_bfloat(INFINITY), 0x7F80);
    uint32_t almost_infinite = 0x7F800001, full = 0xFFFFFFFF; /* NaNs that rounding would spoil */
    float f;
    memcpy(&f, &almost_infinite, sizeof f);
    CHECK(isnan(bfloat_to_float(float_to_bfloat(f))));
    CHECK(isnan(half_to_float(float_to_half(f))));
    memcpy(&f, &full, sizeof f);
    CHECK_INT(float_to_bfloat(f), 0xFFFF);
    CHECK_INT(float_to_half(f), 0xFFFF);
}

TEST(machine_is_described)
{
    CHECK(cpu_count() >= 1);
    CHECK(cpu_name()[0] != '\0' && strchr(cpu_name(), '\n') == NULL);
    CHECK(cpu_name() == cpu_name());
    CpuFeatures features = cpu_features();
    CHECK(!features.avx512 || features.avx2);
    CHECK(!features.vnni || features.avx2);
#if defined(__x86_64__)
    __builtin_cpu_init();
    CHECK_INT(features.avx2, __builtin_cpu_supports("avx2") != 0);
    CHECK(!features.avx512 || __builtin_cpu_supports("avx512f"));
#endif
    double start = clock_seconds();
    CHECK(start > 0.0 && clock_seconds() >= start);
    char *touched = xcalloc(8 << 20, 1);
    memset(touched, 1, 8 << 20);
    CHECK_INT(touched[5 << 20], 1);
    CHECK(peak_memory_bytes() > 8 << 20 && peak_memory_bytes() < (size_t)1 << 44);
    free(touched);
}
