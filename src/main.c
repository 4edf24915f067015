/* main.c - the only main(): everything is in src/app. */
#include "src/app/app.h"

int main(int argc, char **argv)
{
    return app_main(argc, argv);
}
