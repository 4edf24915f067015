/* console.c - what goes to stderr: notes, warnings, and the progress bar.
 *
 *     calibrating [############--------] 61/100  12.4/s  3 s left        on a terminal, drawn at most ten times a second
 *     calibrating: 100 samples in 8.1 s (12.3/s)                        elsewhere, one line at the end
 */
#include "src/app/app.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define BAR_WIDTH 28

void progress_begin(ProgressBar *bar, const char *label, const Options *options)
{
    *bar = (ProgressBar){
        .label = label, .terminal = isatty(STDERR_FILENO) != 0, .quiet = options->quiet, .started = clock_seconds()};
}

/* "3 s", "12 min", "1 h 05 min" */
static void put_duration(double seconds)
{
    long long whole = (long long)fmin(ceil(seconds), 1e9), minutes = (whole + 59) / 60;
    if (whole < 100)
        fprintf(stderr, "%lld s", whole);
    else if (minutes < 60)
        fprintf(stderr, "%lld min", minutes);
    else
        fprintf(stderr, "%lld h %02lld min", minutes / 60, minutes % 60);
}

static void draw(const ProgressBar *bar)
{
    double seconds = clock_seconds() - bar->started;
    double rate = seconds > 0.0 ? (double)bar->done / seconds : 0.0;
    int filled = bar->total > 0 ? (int)(bar->done * BAR_WIDTH / bar->total) : 0;
    char marks[BAR_WIDTH + 1];
    for (int i = 0; i < BAR_WIDTH; i++)
        marks[i] = i < filled ? '#' : '-';
    marks[BAR_WIDTH] = '\0';
    fprintf(stderr, "\r%s [%s] %lld/%lld  %.1f/s  ", bar->label, marks, (long long)bar->done, (long long)bar->total, rate);
    put_duration(rate > 0.0 ? (double)(bar->total - bar->done) / rate : 0.0);
    fputs(" left\033[K", stderr); /* what a longer line has left behind goes */
    fflush(stderr);
}

static void step(void *context, int64_t done, int64_t total)
{
    ProgressBar *bar = context;
    bar->done = done;
    bar->total = total;
    double now = clock_seconds();
    if (!bar->terminal || bar->quiet || (now - bar->drawn < 0.1 && done < total))
        return;
    bar->drawn = now;
    draw(bar);
}

Progress progress_hook(ProgressBar *bar)
{
    return (Progress){.step = step, .context = bar};
}

void progress_end(ProgressBar *bar)
{
    double seconds = clock_seconds() - bar->started;
    if (bar->quiet)
        return;
    if (bar->terminal)
        fprintf(stderr, "\r\033[K");
    fprintf(stderr, "%s: %lld samples in %.1f s (%.1f/s)\n", bar->label, (long long)bar->done, seconds,
            seconds > 0.0 ? (double)bar->done / seconds : 0.0);
}

/* Names come from files, and a file may call a node "a\nb" or "\033[2J": a message stays one line of plain text. */
static void print_line(const char *prefix, const char *format, va_list arguments) PRINTF_LIKE(2, 0);

static void print_line(const char *prefix, const char *format, va_list arguments)
{
    char *line = xvprintf(format, arguments);
    for (char *at = line; *at != '\0'; at++)
        if ((unsigned char)*at < ' ' || *at == 0x7f)
            *at = '?';
    fprintf(stderr, "%s%s\n", prefix, line);
    free(line);
}

void console_note(const Options *options, const char *format, ...)
{
    if (options->quiet)
        return;
    va_list arguments;
    va_start(arguments, format);
    print_line("", format, arguments);
    va_end(arguments);
}

void console_warn(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    print_line("quantize: warning: ", format, arguments);
    va_end(arguments);
}

void console_fail(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    print_line("quantize: ", format, arguments);
    va_end(arguments);
}
