/* lists.c - the tables of the program, printed: --list-passes and --list-presets. */
#include "src/app/app.h"

#include <stdio.h>

void list_tables(const Options *options)
{
    static const char *const stages[] = {
        [PASS_RAISE] = "raise", [PASS_RESTORE] = "restore", [PASS_SIMPLIFY] = "simplify", [PASS_TARGET] = "target",
        [PASS_EQUALIZE] = "equalize", [PASS_QUANTIZE] = "quantize"};
    for (size_t i = 0; options->list_passes && i < pass_count(); i++)
        printf("%-10s %-30s %s\n", stages[pass_at(i)->stage], pass_at(i)->name, pass_at(i)->summary);
    for (size_t i = 0; options->list_presets && i < preset_count(); i++)
        printf("%-12s %s\n", preset_at(i)->name, preset_at(i)->summary);
}
