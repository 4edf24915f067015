/* regex.c - a regular expression as a machine that is in many states at once (Thompson 1968).
 *
 *     a(b|c)*    1: 'a' ─> 2: fork ─> 'b' ─┐
 *                              ├──> 'c' ─┤     all states are advanced by each byte of the text
 *                              └─> end   └─> 2
 *
 * Text is bytes; outside of ASCII a UTF-8 character is matched by '.' and by negated classes as a whole.
 */
#include "src/ops/regex.h"

#include <stdlib.h>
#include <string.h>

#define MAX_STATES 20000 /* after the repetitions are written out */
#define MAX_REPEAT 1000
#define MAX_DEPTH 200    /* of groups */

typedef enum StateKind {
    STATE_SET,    /* takes a character */
    STATE_FORK,   /* goes both ways */
    STATE_JUMP,
    STATE_BEGIN,  /* ^ $ \b \B: pass where they hold */
    STATE_END,
    STATE_EDGE,
    STATE_INSIDE,
    STATE_DONE
} StateKind;

/* A set of bytes; bit b of word b / 32. `wide`: characters outside of ASCII too. */
typedef struct Set {
    uint32_t bits[4];
    bool wide;
} Set;

typedef struct State {
    StateKind kind;
    int next, other; /* other: of a fork */
    Set set;
} State;

struct Regex {
    State *states;
    int n; /* it starts at state 0 and is done at the last one */
};

/* ---- building: code is appended, and a piece may be copied for a repetition -------------------------------------- */

typedef struct Parser {
    Arena *arena;
    const char *at, *end;
    State *states;
    size_t cap;
    int n, depth;
    const char *problem;
} Parser;

/* States [begin, end), run from begin and left by going on at end. */
typedef struct Piece {
    int begin, end;
} Piece;

static Piece parse_either(Parser *p);

static void fail(Parser *p, const char *problem)
{
    if (p->problem == NULL)
        p->problem = problem;
}

static int add_state(Parser *p, StateKind kind)
{
    if (p->n >= MAX_STATES) {
        fail(p, "it is too long");
        return 0;
    }
    p->states = array_reserve(p->states, &p->cap, (size_t)p->n + 1, sizeof *p->states);
    p->states[p->n] = (State){.kind = kind, .next = p->n + 1, .other = p->n + 1};
    return p->n++;
}

/* Opens a gap of one state before `at`; pieces behind it move. */
static void insert_state(Parser *p, int at, StateKind kind)
{
    add_state(p, kind);
    if (p->problem != NULL)
        return;
    for (int i = p->n - 1; i > at; i--) {
        p->states[i] = p->states[i - 1];
        p->states[i].next += p->states[i].next >= at;
        p->states[i].other += p->states[i].other >= at;
    }
    p->states[at] = (State){.kind = kind, .next = at + 1, .other = at + 1};
}

static void append_copy(Parser *p, const State *from, int n, int origin)
{
    int shift = p->n - origin;

    for (int i = 0; i < n && p->problem == NULL; i++) {
        int at = add_state(p, from[i].kind);
        if (p->problem != NULL)
            return;
        p->states[at] = from[i];
        p->states[at].next += shift;
        p->states[at].other += shift;
    }
}

/* ---- sets -------------------------------------------------------------------------------------------------------- */

static void set_add(Set *set, unsigned char c)
{
    if (c < 128)
        set->bits[c / 32] |= UINT32_C(1) << (c % 32);
}

static void set_add_range(Set *set, int low, int high)
{
    for (int c = low; c <= high && c < 128; c++)
        set_add(set, (unsigned char)c);
}

static bool set_has(const Set *set, unsigned char c)
{
    return c < 128 ? (set->bits[c / 32] >> (c % 32) & 1) != 0 : set->wide;
}

static void set_negate(Set *set)
{
    for (int i = 0; i < 4; i++)
        set->bits[i] = ~set->bits[i];
    set->wide = !set->wide;
}

static void set_join(Set *set, const Set *other)
{
    for (int i = 0; i < 4; i++)
        set->bits[i] |= other->bits[i];
    set->wide = set->wide || other->wide;
}

/* A named class as ranges, two bytes each. */
static const struct {
    const char *name, *ranges;
} named_sets[] = {
    {"alnum", "09AZaz"},   {"alpha", "AZaz"}, {"ascii", "\001\177"}, {"blank", "\t\t  "}, {"cntrl", "\001\037\177\177"},
    {"digit", "09"},       {"graph", "!~"},   {"lower", "az"},       {"print", " ~"},     {"punct", "!/:@[`{~"},
    {"space", "\t\r  "}, {"upper", "AZ"},   {"word", "09AZaz__"},  {"xdigit", "09AFaf"},
};

static bool set_by_name(const char *name, size_t length, Set *ret)
{
    for (size_t i = 0; i < COUNT_OF(named_sets); i++) {
        const char *ranges = named_sets[i].ranges;
        if (strlen(named_sets[i].name) != length || memcmp(named_sets[i].name, name, length) != 0)
            continue;
        *ret = (Set){{0}, false};
        for (; *ranges != '\0'; ranges += 2)
            set_add_range(ret, (unsigned char)ranges[0], (unsigned char)ranges[1]);
        return true;
    }
    return false;
}

/* \d \w \s and their negations; false for another letter. */
static bool set_of_escape(char c, Set *ret)
{
    const char *name = c == 'd' || c == 'D' ? "digit" : c == 'w' || c == 'W' ? "word" : "space";

    if (strchr("dDwWsS", c) == NULL || c == '\0')
        return false;
    if (!set_by_name(name, strlen(name), ret))
        return false;
    if (c == 's' || c == 'S') /* without the vertical tab, as RE2 has it */
        ret->bits[0] &= ~(UINT32_C(1) << 11);
    if (c == 'D' || c == 'W' || c == 'S')
        set_negate(ret);
    return true;
}

/* The byte that an escape stands for, -1 when it is none. */
static int escaped_byte(Parser *p, char c)
{
    static const char letters[] = "tnrfvaa", bytes[] = "\t\n\r\f\v\a";
    const char *place = c == '\0' ? NULL : strchr(letters, c);

    if (place != NULL && place - letters < 6)
        return bytes[place - letters];
    if (c == 'x' && p->end - p->at >= 2) {
        char digits[3] = {p->at[0], p->at[1], '\0'}, *stop;
        long value = strtol(digits, &stop, 16);
        if (*stop == '\0' && value < 128) {
            p->at += 2;
            return (int)value;
        }
        return -1;
    }
    if ((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (unsigned char)c >= 128)
        return -1;
    return (unsigned char)c;
}

/* Behind '['. */
static Set parse_set(Parser *p)
{
    Set set = {{0}, false};
    bool negate = p->at < p->end && *p->at == '^', first = true;

    p->at += negate;
    while (p->problem == NULL) {
        Set other;
        int low, high;
        if (p->at >= p->end) {
            fail(p, "a '[' is not closed");
            break;
        }
        if (*p->at == ']' && !first)
            break;
        first = false;
        const char *close = p->end - p->at > 3 && p->at[0] == '[' && p->at[1] == ':' ? strstr(p->at, ":]") : NULL;
        if (close != NULL && close < p->end) {
            const char *name = p->at + 2;
            bool other_negate = *name == '^';
            name += other_negate;
            if (close < name || !set_by_name(name, (size_t)(close - name), &other)) {
                fail(p, "a class [:name:] is not known");
                break;
            }
            if (other_negate)
                set_negate(&other);
            set_join(&set, &other);
            p->at = close + 2;
            continue;
        }
        low = (unsigned char)*p->at++;
        if (low == '\\' && p->at < p->end) {
            char c = *p->at++;
            if (set_of_escape(c, &other)) {
                set_join(&set, &other);
                continue;
            }
            low = escaped_byte(p, c);
        }
        high = low;
        if (p->end - p->at >= 2 && p->at[0] == '-' && p->at[1] != ']') {
            p->at++;
            high = (unsigned char)*p->at++;
            if (high == '\\' && p->at < p->end) {
                char c = *p->at++;
                high = escaped_byte(p, c);
            }
        }
        if (low < 0 || high < low || high >= 128)
            fail(p, "a class holds what is not understood");
        set_add_range(&set, low, high);
    }
    p->at += p->at < p->end;
    if (negate)
        set_negate(&set);
    return set;
}

/* ---- grammar: either = sequence | sequence ..., sequence = repeated repeated ..., repeated = atom * + ? {m,n} ---- */

static Piece parse_group(Parser *p)
{
    Piece piece;

    if (p->end - p->at >= 2 && p->at[0] == '?' && p->at[1] == ':')
        p->at += 2;
    else if (p->at < p->end && *p->at == '?')
        fail(p, "a group (?...) other than (?:...) is used");
    if (++p->depth > MAX_DEPTH)
        fail(p, "groups are nested too deeply");
    piece = p->problem == NULL ? parse_either(p) : (Piece){p->n, p->n};
    p->depth--;
    if (p->at >= p->end || *p->at != ')')
        fail(p, "a '(' is not closed");
    p->at += p->at < p->end;
    return piece;
}

static void add_set(Parser *p, Set set)
{
    int at = add_state(p, STATE_SET);

    if (p->problem == NULL)
        p->states[at].set = set;
}

static void parse_escape(Parser *p)
{
    Set set = {{0}, false};
    char c;
    int byte;

    if (p->at >= p->end) {
        fail(p, "it ends in a backslash");
        return;
    }
    c = *p->at++;
    if (c == 'b' || c == 'B') {
        add_state(p, c == 'b' ? STATE_EDGE : STATE_INSIDE);
    } else if (c == 'A' || c == 'z') {
        add_state(p, c == 'A' ? STATE_BEGIN : STATE_END);
    } else if (set_of_escape(c, &set)) {
        add_set(p, set);
    } else {
        byte = escaped_byte(p, c);
        if (byte < 0)
            fail(p, "an escape is not understood");
        else
            set_add(&set, (unsigned char)byte);
        add_set(p, set);
    }
}

static Piece parse_atom(Parser *p)
{
    Piece piece = {p->n, p->n};
    Set set = {{0}, false};
    char c = *p->at++;

    switch (c) {
    case '(':
        return parse_group(p);
    case '[':
        add_set(p, parse_set(p));
        break;
    case '.':
        set_add(&set, '\n');
        set_negate(&set);
        add_set(p, set);
        break;
    case '^':
        add_state(p, STATE_BEGIN);
        break;
    case '$':
        add_state(p, STATE_END);
        break;
    case '\\':
        parse_escape(p);
        break;
    case '*':
    case '+':
    case '?':
        fail(p, "a repetition has nothing to repeat");
        break;
    default:
        if ((unsigned char)c >= 128)
            fail(p, "a character outside of ASCII is used");
        set_add(&set, (unsigned char)c);
        add_set(p, set);
    }
    piece.end = p->n;
    return piece;
}

/* {m}, {m,} or {m,n}; false: no repetition, the brace is a character. *ret_most -1: no bound. */
static bool parse_bounds(Parser *p, int *ret_least, int *ret_most)
{
    const char *at = p->at + 1;
    long values[2] = {-1, -1};
    int n = 0;

    for (;; at++) {
        char *stop;
        if (at < p->end && *at >= '0' && *at <= '9') {
            values[n] = strtol(at, &stop, 10);
            at = stop;
        }
        if (at >= p->end || values[0] < 0)
            return false;
        if (*at == '}')
            break;
        if (*at != ',' || ++n > 1)
            return false;
    }
    p->at = at + 1;
    if (values[0] > MAX_REPEAT || values[1] > MAX_REPEAT || (n == 1 && values[1] >= 0 && values[1] < values[0]))
        fail(p, "a repetition {m,n} is out of range");
    *ret_least = (int)MIN(values[0], MAX_REPEAT);
    *ret_most = n == 0 ? *ret_least : (int)MIN(values[1], MAX_REPEAT);
    return true;
}

/* The piece, the last of the code, `least` to `most` times. */
static void repeat(Parser *p, Piece piece, int least, int most)
{
    int n = piece.end - piece.begin;
    State *copy = arena_array(p->arena, (size_t)MAX(n, 1), sizeof *copy);

    if (n > 0)
        memcpy(copy, p->states + piece.begin, (size_t)n * sizeof *copy);
    p->n = piece.begin;
    for (int i = 0; i < least && p->problem == NULL; i++)
        append_copy(p, copy, n, piece.begin);
    if (most < 0) { /* fork: through the piece and back, or on */
        int fork = add_state(p, STATE_FORK);
        append_copy(p, copy, n, piece.begin);
        int jump = add_state(p, STATE_JUMP);
        if (p->problem == NULL) {
            p->states[jump].next = fork;
            p->states[fork].other = p->n;
        }
        return;
    }
    for (int i = least; i < most && p->problem == NULL; i++) { /* each may be left out */
        int fork = add_state(p, STATE_FORK);
        append_copy(p, copy, n, piece.begin);
        if (p->problem == NULL)
            p->states[fork].other = p->n;
    }
}

static Piece parse_sequence(Parser *p)
{
    Piece whole = {p->n, p->n};

    while (p->problem == NULL && p->at < p->end && *p->at != '|' && *p->at != ')') {
        Piece piece = parse_atom(p);
        piece.end = p->n;
        for (bool more = true; more && p->problem == NULL && p->at < p->end;) {
            int least = 0, most = -1;
            char c = *p->at;
            if (c == '*' || c == '+' || c == '?') {
                least = c == '+';
                most = c == '?' ? 1 : -1;
                p->at++;
            } else {
                more = c == '{' && parse_bounds(p, &least, &most);
            }
            if (!more)
                break;
            p->at += p->at < p->end && *p->at == '?'; /* lazy: of no matter to whether all of the text matches */
            repeat(p, piece, least, most);
            piece.end = p->n;
        }
    }
    whole.end = p->n;
    return whole;
}

static Piece parse_either(Parser *p)
{
    Piece left = parse_sequence(p);

    while (p->problem == NULL && p->at < p->end && *p->at == '|') {
        p->at++;
        insert_state(p, left.begin, STATE_FORK);
        int jump = add_state(p, STATE_JUMP);
        if (p->problem != NULL)
            break;
        p->states[left.begin].other = p->n;
        parse_sequence(p);
        if (p->problem == NULL)
            p->states[jump].next = p->n;
        left.end = p->n;
    }
    left.end = p->n;
    return left;
}

const Regex *regex_compile(Arena *arena, const char *pattern, size_t length, const char **ret_problem)
{
    Parser p = {.arena = arena, .at = arena_strndup(arena, pattern, length)};
    Regex *regex = NULL;

    p.end = p.at + length;
    if (memchr(pattern, '\0', length) != NULL)
        fail(&p, "it holds a zero byte");
    else
        parse_either(&p);
    if (p.problem == NULL && p.at < p.end)
        fail(&p, "a ')' closes nothing");
    add_state(&p, STATE_DONE);
    *ret_problem = p.problem;
    if (p.problem == NULL) {
        regex = arena_alloc(arena, sizeof *regex);
        regex->states = arena_copy(arena, p.states, (size_t)p.n * sizeof *p.states);
        regex->n = p.n;
    }
    free(p.states);
    return regex;
}

/* ---- matching ---------------------------------------------------------------------------------------------------- */

typedef struct Run {
    const Regex *regex;
    const unsigned char *text;
    size_t length;
    int *active, n_active;   /* sets waiting for a byte, and the end */
    int *stack;
    size_t *seen;            /* position + 1 at which a state was last entered */
} Run;

static bool is_word(const Run *run, size_t at, bool before)
{
    Set word;

    if (before ? at == 0 : at >= run->length)
        return false;
    return set_of_escape('w', &word) && set_has(&word, run->text[before ? at - 1 : at]);
}

static bool passes(const Run *run, StateKind kind, size_t at)
{
    switch (kind) {
    case STATE_BEGIN:
        return at == 0;
    case STATE_END:
        return at == run->length;
    case STATE_EDGE:
        return is_word(run, at, true) != is_word(run, at, false);
    case STATE_INSIDE:
        return is_word(run, at, true) == is_word(run, at, false);
    default:
        return true;
    }
}

/* Enters a state at a position of the text and all that it leads to without a byte. */
static void enter(Run *run, int state, size_t at)
{
    int n = 0;

    run->stack[n++] = state;
    while (n > 0) {
        int i = run->stack[--n];
        const State *s = &run->regex->states[i];
        if (run->seen[i] == at + 1)
            continue;
        run->seen[i] = at + 1;
        if (s->kind == STATE_SET || s->kind == STATE_DONE) {
            run->active[run->n_active++] = i;
        } else if (passes(run, s->kind, at)) {
            run->stack[n++] = s->next;
            if (s->kind == STATE_FORK)
                run->stack[n++] = s->other;
        }
    }
}

bool regex_match_all(const Regex *regex, Arena *arena, const char *text, size_t length)
{
    size_t n = (size_t)regex->n;
    Run run = {.regex = regex, .text = (const unsigned char *)text, .length = length};
    ArenaMark mark = arena_mark(arena);
    int *now = arena_array(arena, n, sizeof *now);
    bool matches;

    run.active = arena_array(arena, n, sizeof *run.active);
    run.stack = arena_array(arena, 2 * n + 2, sizeof *run.stack);
    run.seen = arena_array(arena, n, sizeof *run.seen);
    enter(&run, 0, 0);
    for (size_t at = 0; at < length && run.n_active > 0;) {
        size_t step = 1;
        int n_now = run.n_active;
        while (run.text[at] >= 0xc0 && at + step < length && (run.text[at + step] & 0xc0) == 0x80)
            step++;
        memcpy(now, run.active, (size_t)n_now * sizeof *now);
        run.n_active = 0;
        for (int i = 0; i < n_now; i++) {
            const State *s = &regex->states[now[i]];
            if (s->kind == STATE_SET && set_has(&s->set, run.text[at]))
                enter(&run, s->next, at + step);
        }
        at += step;
    }
    matches = run.seen[n - 1] == length + 1; /* done at the end of the text */
    arena_rewind(arena, mark);
    return matches;
}
