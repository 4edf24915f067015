/* shape.c */
#include "src/ir/ir.h"
#include "tests/test.h"

#define N ((Dim){-1, "N"})
#define M ((Dim){-1, "M"})
#define D(size) ((Dim){(size), NULL})
#define SHAPE2(a, b) ((Shape){.rank = 2, .dims = {(a), (b)}})

static void check_shape(const char *file, int line, Shape shape, const char *expected)
{
    Arena *arena = arena_new();
    char *text = shape_text(arena, &shape);
    if (__builtin_strcmp(text, expected) != 0)
        test_fail(file, line, "shape is %s, expected %s", text, expected);
    arena_free(arena);
}
#define CHECK_SHAPE(shape, expected) check_shape(__FILE__, __LINE__, (shape), (expected))

TEST(shape_texts)
{
    int64_t dims[] = {3, -1};
    CHECK_SHAPE(shape_unknown(), "unknown rank");
    CHECK_SHAPE(shape_of(0, NULL), "scalar");
    CHECK_SHAPE(shape_of(2, dims), "3x?");
    CHECK_SHAPE(SHAPE2(N, D(224)), "Nx224");
}

TEST(shape_equality_is_certainty)
{
    Shape known = SHAPE2(D(2), D(3)), named = SHAPE2(N, D(3)), other = SHAPE2(M, D(3));
    Shape hidden = SHAPE2(DIM_UNKNOWN, D(3)), unknown = shape_unknown();
    CHECK(shape_equal(&known, &known) && shape_equal(&named, &named));
    CHECK(!shape_equal(&known, &named) && !shape_equal(&named, &other));
    CHECK(!shape_equal(&hidden, &hidden) && !shape_equal(&unknown, &unknown));
    CHECK(shape_is_known(&known) && !shape_is_known(&named) && !shape_is_known(&unknown));
    CHECK_INT(shape_count(&known), 6);
    CHECK_INT(shape_count(&named), -1);
    CHECK_INT(shape_count(&unknown), -1);
    Shape huge = SHAPE2(D(INT64_MAX), D(3));
    CHECK_INT(shape_count(&huge), -1);
}

TEST(shape_area_is_that_of_a_channel)
{
    Shape known = {.rank = 4, .dims = {N, D(3), D(4), D(5)}}, named = {.rank = 4, .dims = {D(1), D(3), N, D(5)}};
    Shape huge = {.rank = 4, .dims = {D(1), D(3), D(INT64_MAX), D(2)}}, matrix = SHAPE2(N, D(3));
    CHECK_INT(shape_area(&known), 20);
    CHECK_INT(shape_area(&named), -1);
    CHECK_INT(shape_area(&huge), -1);
    CHECK_INT(shape_area(&matrix), 1);
}

TEST(shape_broadcasts_as_numpy_does)
{
    Shape ret, three = {.rank = 1, .dims = {D(3)}}, scalar = shape_of(0, NULL), unknown = shape_unknown();
    Shape a = SHAPE2(N, D(1)), b = SHAPE2(D(2), D(3)), c = SHAPE2(D(4), D(3)), m = SHAPE2(M, D(1));
    CHECK_OK(shape_broadcast(&a, &three, &ret));
    CHECK_SHAPE(ret, "Nx3");
    CHECK_OK(shape_broadcast(&b, &scalar, &ret));
    CHECK_SHAPE(ret, "2x3");
    CHECK_OK(shape_broadcast(&a, &b, &ret)); /* N is 1 or 2 */
    CHECK_SHAPE(ret, "2x3");
    CHECK_OK(shape_broadcast(&a, &a, &ret));
    CHECK_SHAPE(ret, "Nx1");
    CHECK_OK(shape_broadcast(&a, &m, &ret)); /* one of them may be 1 */
    CHECK_SHAPE(ret, "?x1");
    CHECK_OK(shape_broadcast(&a, &unknown, &ret));
    CHECK_SHAPE(ret, "unknown rank");
    CHECK_FAILS(shape_broadcast(&b, &c, &ret), CODE_MODEL, "'2x3' and '4x3' do not broadcast");
    CHECK_SHAPE(ret, "unknown rank");
}

TEST(shape_broadcasts_empty_dims)
{
    Shape ret, empty = SHAPE2(D(0), D(3)), one = SHAPE2(D(1), D(3)), named = SHAPE2(N, D(3)), two = SHAPE2(D(2), D(3));
    CHECK_OK(shape_broadcast(&empty, &one, &ret));
    CHECK_SHAPE(ret, "0x3");
    CHECK_OK(shape_broadcast(&named, &empty, &ret));
    CHECK_SHAPE(ret, "0x3");
    CHECK_FAILS(shape_broadcast(&two, &empty, &ret), CODE_MODEL, "do not broadcast");
}

TEST(shape_merge_keeps_what_is_known)
{
    Shape ret, unknown = shape_unknown(), a = SHAPE2(N, D(3)), b = SHAPE2(D(2), DIM_UNKNOWN), c = SHAPE2(M, D(4));
    Shape m = SHAPE2(M, DIM_UNKNOWN), flat = {.rank = 1, .dims = {D(3)}};
    CHECK_OK(shape_merge(&a, &b, &ret));
    CHECK_SHAPE(ret, "2x3");
    CHECK_OK(shape_merge(&unknown, &a, &ret));
    CHECK_SHAPE(ret, "Nx3");
    CHECK_OK(shape_merge(&a, &unknown, &ret));
    CHECK_SHAPE(ret, "Nx3");
    CHECK_OK(shape_merge(&a, &m, &ret));
    CHECK_SHAPE(ret, "Nx3");
    CHECK_FAILS(shape_merge(&a, &c, &ret), CODE_MODEL, "'Nx3' and 'Mx4' contradict");
    CHECK_FAILS(shape_merge(&a, &flat, &ret), CODE_MODEL, "ranks differ");
    CHECK_SHAPE(ret, "Nx3");
}
