# banned.awk - calls that hide a bound or an error: use snprintf, memcpy with a checked size, strtoll, arrays from base.h.
/^ *(\*|\/\*)/ { next }
/(^|[^a-z_0-9])(strcpy|strcat|sprintf|vsprintf|gets|strtok|atoi|atol|atoll|atof|alloca|strncpy|strncat|system|popen|rand|srand)\(/ {
    printf "%s:%d: banned call: %s\n", FILENAME, FNR, $0
    bad = 1
}
END { exit bad }
