/* cpu.c - what the processor can do, as far as the choice of kernels and the report need it. */
#include "src/base/base.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#if defined(__x86_64__) || defined(__i386__)
#include <cpuid.h>

/* Intel SDM vol. 1, 13.3: the register states that the system saves on a task switch (XCR0). */
enum { STATE_AVX = 0x6, STATE_AVX512 = 0xE6, STATE_AMX = 0x60000 };

static uint32_t saved_states(void)
{
    unsigned eax, ebx, ecx, edx;
    if (!__get_cpuid(1, &eax, &ebx, &ecx, &edx) || (ecx & bit_OSXSAVE) == 0)
        return 0;
    __asm__ volatile("xgetbv" : "=a"(eax), "=d"(edx) : "c"(0));
    return eax;
}

static bool has_bits(uint32_t word, uint32_t bits)
{
    return (word & bits) == bits;
}

static bool has_fma(void)
{
    unsigned eax, ebx, ecx, edx;
    return __get_cpuid(1, &eax, &ebx, &ecx, &edx) && has_bits(ecx, 1u << 12);
}

static CpuFeatures read_features(void)
{
    CpuFeatures features = {0};
    unsigned leaves, ebx, ecx, edx, eax1, ebx1, ecx1, edx1;
    uint32_t states = saved_states();
    if (!has_bits(states, STATE_AVX) || !__get_cpuid_count(7, 0, &leaves, &ebx, &ecx, &edx))
        return features;
    features.avx2 = has_bits(ebx, 1u << 5) && has_fma(); /* no processor has the one without the other */
    if (features.avx2 && has_bits(states, STATE_AVX512)) /* F, DQ, BW, VL: what kernels for it take for granted */
        features.avx512 = has_bits(ebx, 1u << 16 | 1u << 17 | 1u << 30 | 1u << 31);
    features.sha = has_bits(ebx, 1u << 29);
    features.vbmi = features.avx512 && has_bits(ecx, 1u << 1);
    features.vnni = features.avx512 && has_bits(ecx, 1u << 11);
    if (leaves >= 1 && __get_cpuid_count(7, 1, &eax1, &ebx1, &ecx1, &edx1))
        features.vnni |= features.avx2 && has_bits(eax1, 1u << 4); /* the 256-bit form of processors without AVX-512 */
    features.amx_int8 = has_bits(states, STATE_AMX) && has_bits(edx, 1u << 24 | 1u << 25);
    return features;
}
#else
static CpuFeatures read_features(void)
{
    return (CpuFeatures){0};
}
#endif

static CpuFeatures features_read;
static pthread_once_t features_once = PTHREAD_ONCE_INIT;

static CpuLevel level_read;

static CpuLevel level_of(CpuFeatures features)
{
    return features.amx_int8 ? CPU_AMX : features.vnni ? CPU_VNNI : features.avx512 ? CPU_AVX512 : features.avx2 ? CPU_AVX2
                                                                                                                 : CPU_BASELINE;
}

/* QUANTIZE_CPU as a level; an unknown word rules nothing out. */
static CpuLevel level_allowed(void)
{
    static const char *const names[] = {
        [CPU_BASELINE] = "baseline", [CPU_AVX2] = "avx2", [CPU_AVX512] = "avx512", [CPU_VNNI] = "vnni", [CPU_AMX] = "amx"};
    const char *word = getenv("QUANTIZE_CPU");
    for (size_t i = 0; word != NULL && i < COUNT_OF(names); i++)
        if (strcmp(word, names[i]) == 0)
            return (CpuLevel)i;
    return CPU_AMX;
}

static void read_features_once(void)
{
    CpuFeatures f = read_features();
    CpuLevel allowed = level_allowed();
    f.sha = f.sha && allowed >= CPU_AVX2;
    f.avx2 = f.avx2 && allowed >= CPU_AVX2;
    f.avx512 = f.avx512 && allowed >= CPU_AVX512;
    f.vbmi = f.vbmi && allowed >= CPU_AVX512;
    f.vnni = f.vnni && allowed >= CPU_VNNI;
    f.amx_int8 = f.amx_int8 && allowed >= CPU_AMX;
    features_read = f;
    level_read = level_of(f);
}

/* Read once: on a virtual machine each CPUID leaves the guest, and this is asked for every node. */
CpuFeatures cpu_features(void)
{
    pthread_once(&features_once, read_features_once);
    return features_read;
}

CpuLevel cpu_level(void)
{
    pthread_once(&features_once, read_features_once);
    return level_read;
}

static char name[128] = "unknown";
static pthread_once_t name_once = PTHREAD_ONCE_INIT;

/* "model name   : Some  CPU" -> "Some CPU" */
static void name_read(void)
{
    FILE *file = fopen("/proc/cpuinfo", "re");
    char line[512];
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        const char *from = strchr(line, ':');
        if (strncmp(line, "model name", 10) != 0 || from == NULL)
            continue;
        size_t n = 0;
        while (*++from != '\0' && n + 1 < sizeof name) {
            bool space = *from == ' ' || *from == '\t' || *from == '\n';
            if (!space)
                name[n++] = *from;
            else if (n > 0 && name[n - 1] != ' ')
                name[n++] = ' ';
        }
        name[n > 0 && name[n - 1] == ' ' ? n - 1 : n] = '\0';
        break;
    }
    if (file != NULL)
        fclose(file);
}

/* How many processors' time a container may use (cgroup v2: "quota period" or "max period"), rounded up; 0 = all. */
static long long container_share(void)
{
    FILE *file = fopen("/sys/fs/cgroup/cpu.max", "re");
    long long quota, period, share = 0;
    if (file == NULL)
        return 0;
    if (fscanf(file, "%18lld %18lld", &quota, &period) == 2 && quota > 0 && period > 0)
        share = (quota + period - 1) / period;
    fclose(file);
    return share;
}

int cpu_count(void)
{
    cpu_set_t set;
    long long count = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : sysconf(_SC_NPROCESSORS_ONLN);
    long long share = container_share();
    if (share > 0)
        count = MIN(count, share);
    return count < 1 ? 1 : (int)MIN(count, 1024);
}

const char *cpu_name(void)
{
    pthread_once(&name_once, name_read);
    return name;
}
