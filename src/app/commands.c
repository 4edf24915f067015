/* commands.c - argv to a row of the command table; Ctrl-C, out of memory, and how a failure is told.
 *
 * The main job has no name: `quantize MODEL --calib DIR`. A first word that is a command's name runs that command.
 */
#include "src/app/app.h"

#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const Command commands[] = {
    {"", "MODEL.onnx --calib DIR", "the main job: calibrate, quantize, measure, write", COMMAND_QUANTIZE, 1, 1,
     command_quantize},
    {"run", "MODEL.onnx --input FILE|DIR", "run a model on files and print what it answers", COMMAND_RUN, 1, 1,
     command_run},
    {"eval", "MODEL.onnx --data DIR --labels FILE", "accuracy of one model on labelled data", COMMAND_EVAL, 1, 1,
     command_eval},
    {"compare", "A.onnx B.onnx --data DIR", "two models side by side: SQNR, cosine, agreement", COMMAND_COMPARE, 2, 2,
     command_compare},
    {"inspect", "MODEL.onnx", "what is in a model: inputs, outputs, ops, sizes, MACs", COMMAND_INSPECT, 1, 1,
     command_inspect},
    {"bench", "MODEL.onnx", "how fast a model runs here, and where the time goes", COMMAND_BENCH, 1, 1, command_bench},
    {"explain", "MODEL.int8.onnx", "which nodes run in integers, and why the others do not", COMMAND_EXPLAIN, 1, 1,
     command_explain},
    {"calibrate", "MODEL.onnx --calib DIR -o RANGES.json", "write a range table, or with --shard i/n a part of one",
     COMMAND_CALIBRATE, 1, 1, command_calibrate},
    {"merge", "PART.json... -o RANGES.json", "join the parts of a calibration: as one run, bit for bit", COMMAND_MERGE, 1,
     INT_MAX, command_merge},
    {"simplify", "MODEL.onnx -o OUT.onnx", "the simplification passes alone", COMMAND_SIMPLIFY, 1, 1,
     command_simplify},
};

const Command *const *command_list(void)
{
    static const Command *list[COUNT_OF(commands) + 1];
    for (size_t i = 0; i < COUNT_OF(commands); i++)
        list[i] = &commands[i];
    return list;
}

static void on_interrupt(int signal_number)
{
    if (interrupt_requested()) { /* asked twice: leave at once, leaving nothing half-written */
        atomic_abandon_all();
        _exit(128 + signal_number);
    }
    interrupt_request();
}

static void on_memory_exhausted(void)
{
    static const char message[] = "quantize: out of memory\n";
    atomic_abandon_all();
    ssize_t written = write(STDERR_FILENO, message, sizeof message - 1);
    (void)written;
    _exit(CODE_MEMORY);
}

static void install_handlers(void)
{
    struct sigaction action = {.sa_handler = on_interrupt};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    memory_set_exhausted_handler(on_memory_exhausted);
}

static const Command *find_command(const char *word)
{
    for (size_t i = 1; i < COUNT_OF(commands); i++)
        if (strcmp(commands[i].name, word) == 0)
            return &commands[i];
    return NULL;
}

/* A first word that is neither an option nor a file may be a command with a slip in it. */
static Status check_first_word(const char *word)
{
    const char *names[COUNT_OF(commands)];
    for (size_t i = 1; i < COUNT_OF(commands); i++)
        names[i - 1] = commands[i].name;
    names[COUNT_OF(commands) - 1] = NULL;
    if (word[0] == '-' || access(word, F_OK) == 0 || strchr(word, '.') != NULL || strchr(word, '/') != NULL)
        return NULL;
    const char *nearest = text_nearest(word, names);
    return nearest == NULL ? NULL : status_new(CODE_USAGE, "unknown command '%s'; did you mean '%s'?", word, nearest);
}

/* One line, always: a message never breaks a log that is read line by line. */
static int tell_failure(Status status)
{
    Code code = status_code(status);
    console_fail("%s", status_message(status));
    status_free(status);
    return code;
}

/* How long libgomp's threads, oneDNN's and ours, wait for each other at full speed before they sleep: by default for milliseconds,
 * which costs a run a time slice at every op where other programs want the cores too. It reads that before main() begins, so the
 * program sets it and starts over, once. */
void settle_waiting(char **argv)
{
    static const char *const settings[] = {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"};
    char self[4096];
    for (size_t i = 0; i < COUNT_OF(settings); i++)
        if (getenv(settings[i]) != NULL)
            return;
    ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
    if (cpu_count() == 1 || length <= 0 || setenv(settings[0], "2000", 1) != 0) /* some 20 us: longer than between two ops */
        return;
    self[length] = '\0';
    execv(self, argv); /* comes back only when it fails: then all goes on as it is */
}

/* run and bench put several threads to one sample. */
static bool takes_turns(const Command *command, const Options *options)
{
    bool whole_team = strcmp(command->name, "run") == 0 || (strcmp(command->name, "bench") == 0 && !options->parallel);
    return whole_team && options->threads != 1;
}

int app_main(int argc, char **argv)
{
    install_handlers();
    const Command *command = argc > 1 ? find_command(argv[1]) : NULL;
    int skip = command == NULL ? 1 : 2;
    Options options;
    Status status = command == NULL && argc > 1 ? check_first_word(argv[1]) : NULL;
    if (command == NULL)
        command = &commands[0];
    if (status == NULL)
        status = options_parse(command, argc - skip, argv + skip, &options);
    if (status != NULL)
        return tell_failure(status);
    if (options.version) {
        printf("quantize %s\n", QUANTIZE_VERSION);
        return 0;
    }
    if (options.help || argc == 1) {
        options_print_help(command);
        return argc == 1 ? CODE_USAGE : 0;
    }
    if (takes_turns(command, &options))
        settle_waiting(argv);
    int exit_code = CODE_OK;
    status = setup_limits(&options);
    if (status == NULL)
        status = command->run(&options, &exit_code);
    if (status != NULL)
        return tell_failure(status);
    if (fflush(stdout) != 0 || ferror(stdout)) {
        fprintf(stderr, "quantize: cannot write to standard output\n");
        return CODE_WRITE;
    }
    return exit_code;
}
