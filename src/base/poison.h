/* poison.h - tells AddressSanitizer which bytes of a larger block nobody may touch now; nothing in other builds. */
#ifndef QUANTIZE_POISON_H
#define QUANTIZE_POISON_H

#if defined(__SANITIZE_ADDRESS__)
#define POISON_ACTIVE 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define POISON_ACTIVE 1
#endif
#endif

#ifdef POISON_ACTIVE
#include <sanitizer/asan_interface.h>
#define POISON_GAP 16 /* bytes left untouchable behind each piece, so that running over its end is seen */
#define poison_bytes(p, bytes) ASAN_POISON_MEMORY_REGION((p), (bytes))
#define unpoison_bytes(p, bytes) ASAN_UNPOISON_MEMORY_REGION((p), (bytes))
#else
#define POISON_GAP 0
#define poison_bytes(p, bytes) ((void)(p), (void)(bytes))
#define unpoison_bytes(p, bytes) ((void)(p), (void)(bytes))
#endif

#endif
