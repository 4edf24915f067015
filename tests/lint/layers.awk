# layers.awk - who may include whom; the table of docs/architecture.md.
BEGIN {
    may["base"] = "base"
    may["ir"] = "base ir"
    may["quant"] = "base ir quant"
    may["kernels"] = "base kernels"
    may["image"] = "base image"
    may["ops"] = "base ir quant kernels image ops"
    may["exec"] = "base ir quant kernels ops exec"
    may["onnx"] = "base ir ops onnx"
    may["passes"] = "base ir quant ops exec passes"
    may["calib"] = "base ir quant image exec calib"
    may["app"] = "base ir quant kernels image ops exec onnx passes calib app"
}
function room(path) {
    if (path ~ /^src\/main\.c$/) return "app"
    if (path ~ /^src\//) { sub(/^src\//, "", path) }
    sub(/\/.*/, "", path)
    return path
}
FNR == 1 { here = room(FILENAME) }
/^#include "/ {
    split($0, parts, "\"")
    file = parts[2]
    if (file ~ /^schema\//) {
        if (here != "onnx") { printf "%s:%d: only src/onnx may use protobuf\n", FILENAME, FNR; bad = 1 }
        next
    }
    there = room(file)
    if (index(" " may[here] " ", " " there " ") == 0) {
        printf "%s:%d: %s may not include %s\n", FILENAME, FNR, here, file
        bad = 1
    }
}
/^#include <protobuf-c/ && here != "onnx" { printf "%s:%d: only src/onnx may use protobuf\n", FILENAME, FNR; bad = 1 }
/[^a-z_](printf|puts|putchar|exit)\(/ && here != "app" && $0 !~ /^ *(\*|\/\*)/ {
    printf "%s:%d: only src/app prints or exits\n", FILENAME, FNR
    bad = 1
}
END { exit bad }
