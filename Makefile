# make          the program ./quantize
# make demo     on a fresh Debian 12: installs what is missing, builds, quantizes the demo model
# make demo-audio  the same with a model that hears: a keyword spotter and recordings
# make check    the same set-up, then every test: unit tests under ASan and UBSan, command line, ONNX Runtime as oracle
# make lint     layer rule, banned calls, warnings of gcc and clang, static analysis
# make results  every model at hand quantized, measured in ONNX Runtime: docs/results.md
# make fuzz     random models under sanitizers: load, infer, run, simplify, quantize; SECONDS_=600
# make deps     installs missing Debian packages (through sudo when not root); deps-check, deps-lint: those of the tests

CC       ?= cc
CSTD      = -std=c11 -D_GNU_SOURCE
WARNINGS  = -Wall -Wextra -Wpedantic -Wshadow -Wvla -Wstrict-prototypes -Wmissing-prototypes -Wundef -Wwrite-strings \
            -Wpointer-arith -Wformat=2 -Wno-unknown-warning-option
# No contraction of a * b + c into one rounding: the same numbers on every CPU. -O3: loops of unknown length are vectorized.
OPTIMIZE  = -O3 -fno-math-errno -fno-trapping-math -ffp-contract=off
CFLAGS   ?= -g
LIBRARIES = libprotobuf-c libcjson libpng libjpeg libwebp zlib sndfile soxr kissfft-float
LDLIBS    = $(shell pkg-config --libs $(LIBRARIES)) -ldnnl -lgomp -lm -lpthread
INCLUDES  = -I. -I$(BUILD) $(shell pkg-config --cflags $(LIBRARIES))

# One tree of objects for each way to build: release, asan (sanitizers, verifier after every pass), debug.
BUILD    ?= build/release
ifeq ($(BUILD),build/asan)
OPTIMIZE  = -O1 -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all -DQUANTIZE_DEBUG
endif
ifeq ($(BUILD),build/fuzz)
CC        = clang
OPTIMIZE  = -O1 -fno-omit-frame-pointer -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all
endif
ifeq ($(BUILD),build/debug)
OPTIMIZE  = -O0 -DQUANTIZE_DEBUG
endif

SOURCES   = $(filter-out src/main.c,$(wildcard src/*/*.c passes/*.c calib/*.c))
TESTS     = $(filter-out tests/oracle/% tests/conformance/% tests/bench/% tests/fuzz/%,$(wildcard tests/*.c tests/*/*.c)) \
            tests/conformance/types.c
OBJECTS   = $(SOURCES:%.c=$(BUILD)/%.o) $(BUILD)/schema/onnx.pb-c.o
COMPILE   = $(CC) $(CSTD) $(WARNINGS) $(OPTIMIZE) $(CFLAGS) $(INCLUDES) -MMD -MP

all: quantize

quantize: $(BUILD)/quantize
	@cp -f $< $@

$(BUILD)/quantize: $(BUILD)/src/main.o $(OBJECTS)
	@echo '  LD $@'
	@$(CC) $(OPTIMIZE) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS)

# One binary with every unit test; TEST=name runs those whose name holds it.
$(BUILD)/unit-tests: $(TESTS:%.c=$(BUILD)/%.o) $(OBJECTS)
	@echo '  LD $@'
	@$(CC) $(OPTIMIZE) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS)

# What the ONNX Runtime tests see of our own program.
$(BUILD)/probe: $(addprefix $(BUILD)/tests/,oracle/probe.o oracle/half.o conformance/types.o simplify/large.o passes/profile_rules.o) $(OBJECTS)
	@echo '  LD $@'
	@$(CC) $(OPTIMIZE) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS)

# ONNX's own operator tests, see tests/conformance/conformance.c.
CORE      = $(filter-out $(BUILD)/src/app/% $(BUILD)/src/quant/% $(BUILD)/passes/% $(BUILD)/calib/%,$(OBJECTS))
$(BUILD)/conformance: $(BUILD)/tests/conformance/conformance.o $(BUILD)/tests/conformance/case.o \
                      $(BUILD)/tests/conformance/types.o $(CORE)
	@echo '  LD $@'
	@$(CC) $(OPTIMIZE) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS)

# Our side of `make bench`, see tests/bench/peer.c.
$(BUILD)/bench-peer: $(BUILD)/tests/bench/peer.o $(OBJECTS)
	@echo '  LD $@'
	@$(CC) $(OPTIMIZE) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS)

# Writes the generated models, see tests/bench/generate.c.
$(BUILD)/bench-models: $(addprefix $(BUILD)/tests/bench/,generate.o net.o convnets.o transformers.o) $(CORE)
	@echo '  LD $@'
	@$(CC) $(OPTIMIZE) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS)

# How fast calibration sees, see tests/bench/observe.c.
$(BUILD)/bench-observe: $(BUILD)/tests/bench/observe.o $(OBJECTS)
	@echo '  LD $@'
	@$(CC) $(OPTIMIZE) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS)

# libFuzzer's main around the program, see tests/fuzz/fuzz.c.
$(BUILD)/fuzz: $(BUILD)/tests/fuzz/fuzz.o $(BUILD)/tests/fuzz/mutate.o $(OBJECTS)
	@echo '  LD $@'
	@$(CC) $(OPTIMIZE) -fsanitize=fuzzer $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS)

# Writes docs/ops.md.
$(BUILD)/ops-doc: $(addprefix $(BUILD)/tests/,conformance/ops_doc.o conformance/types.o ops/accepted.o ops/mini.o) $(CORE)
	@echo '  LD $@'
	@$(CC) $(OPTIMIZE) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS)

$(BUILD)/%.o: %.c | $(BUILD)/schema/onnx.pb-c.h
	@mkdir -p $(@D)
	@echo '  CC $<'
	@$(COMPILE) -c -o $@ $<

$(BUILD)/schema/onnx.pb-c.h $(BUILD)/schema/onnx.pb-c.c &: src/onnx/onnx.proto
	@mkdir -p $(BUILD)/schema
	@protoc-c --proto_path=src/onnx --c_out=$(BUILD)/schema onnx.proto

$(BUILD)/schema/onnx.pb-c.o: $(BUILD)/schema/onnx.pb-c.c
	@$(CC) $(CSTD) $(OPTIMIZE) $(CFLAGS) $(INCLUDES) -c -o $@ $<

-include $(shell find build -name '*.d' 2>/dev/null)

# ---- set-up: Debian packages, installed only where missing ----------------------------------------------------------

PACKAGES       = gcc libc6-dev pkg-config protobuf-c-compiler libprotobuf-c-dev libcjson-dev libjpeg62-turbo-dev \
                 libpng-dev libwebp-dev zlib1g-dev libsndfile1-dev libsoxr-dev libkissfft-dev libdnnl-dev
PACKAGES_CHECK = nodejs npm
PACKAGES_LINT  = cppcheck clang
PACKAGES_FUZZ  = clang libclang-rt-dev llvm # the sanitizers' run time and libFuzzer; llvm-symbolizer

deps:
	@sh tests/install-packages.sh $(PACKAGES)
deps-check: deps
	@sh tests/install-packages.sh --commands node npm -- $(PACKAGES_CHECK)
deps-lint: deps
	@sh tests/install-packages.sh $(PACKAGES_LINT)
deps-fuzz: deps
	@sh tests/install-packages.sh $(PACKAGES_FUZZ)

# ---- the two commands of the README -----------------------------------------------------------------------------------

# A second make after the packages: pkg-config answers only when they are there.
demo: deps
	@$(MAKE) --no-print-directory quantize
	@mkdir -p build/demo
	./quantize tests/demo/glyphs.onnx --calib tests/demo/calib --eval tests/demo/eval --labels tests/demo/eval_labels.txt \
	    -o build/demo/glyphs.int8.onnx

.PHONY: demo-audio
demo-audio: deps
	@$(MAKE) --no-print-directory quantize
	@mkdir -p build/demo
	./quantize tests/demo-audio/keywords.onnx --calib tests/demo-audio/calib --eval tests/demo-audio/eval \
	    --labels tests/demo-audio/eval_labels.txt -o build/demo/keywords.int8.onnx

check: deps-check
	@$(MAKE) --no-print-directory quantize
	@$(MAKE) --no-print-directory unit-tests
	sh tests/cli/run.sh ./quantize
	@$(MAKE) --no-print-directory conformance
	@$(MAKE) --no-print-directory oracle

unit-tests:
	@$(MAKE) --no-print-directory BUILD=build/asan build/asan/unit-tests
	build/asan/unit-tests $(TEST)

# ONNX Runtime as oracle; models of QUANTIZE_SHARED (default ../shared) too when they are there. FULL=1: more samples.
oracle: quantize $(BUILD)/probe $(BUILD)/bench-models tests/oracle/node_modules/.installed
	QUANTIZE=$(CURDIR)/quantize PROBE=$(CURDIR)/$(BUILD)/probe GENERATOR=$(CURDIR)/$(BUILD)/bench-models node tests/oracle/run.js
	QUANTIZE=$(CURDIR)/quantize PROBE=$(CURDIR)/$(BUILD)/probe node tests/oracle/profiles.js
	QUANTIZE=$(CURDIR)/quantize PROBE=$(CURDIR)/$(BUILD)/probe node tests/oracle/floats.js
	QUANTIZE=$(CURDIR)/quantize PROBE=$(CURDIR)/$(BUILD)/probe node tests/oracle/requantize.js
	PROBE=$(CURDIR)/$(BUILD)/probe node tests/oracle/ops.js
	QUANTIZE=$(CURDIR)/quantize node tests/oracle/simplify.js

tests/oracle/node_modules/.installed: tests/oracle/package.json tests/oracle/package-lock.json
	cd tests/oracle && npm ci --ignore-scripts --no-audit --no-fund
	@touch $@

# ONNX's operator tests as Debian packages them; with BUILD=build/asan under the sanitizers. CASES: some folders of them.
TESTDATA  = /usr/share/libonnx-testdata/data
CASES    ?= $(addprefix $(TESTDATA)/,node pytorch-converted pytorch-operator simple)

docs: deps
	@$(MAKE) --no-print-directory $(BUILD)/ops-doc
	$(BUILD)/ops-doc tests/conformance/expected-failures.txt >docs/ops.md

conformance: deps
	@sh tests/install-packages.sh libonnx-testdata
	@$(MAKE) --no-print-directory $(BUILD)/conformance
	$(BUILD)/conformance tests/conformance/expected-failures.txt $(CASES)

# Generated models with seeded random weights in build/bench; MODELS: some of their names.
bench-models: deps
	@$(MAKE) --no-print-directory $(BUILD)/bench-models
	@mkdir -p build/bench
	$(BUILD)/bench-models build/bench $(MODELS)

# Speed beside ONNX Runtime, see tests/bench/bench.js; ROWS: words in the names of rows, FAST=1: a short run.
bench: quantize deps-check tests/oracle/node_modules/.installed
	@$(MAKE) --no-print-directory $(BUILD)/bench-peer
	@test -e build/bench/text_transformer.onnx || $(MAKE) --no-print-directory bench-models
	@QUANTIZE=$(CURDIR)/quantize PEER=$(CURDIR)/$(BUILD)/bench-peer node tests/bench/bench.js $(ROWS)

# Speed of counting; the table of methods of docs/calibration.md on a model of QUANTIZE_SHARED.
bench-observe: deps
	@$(MAKE) --no-print-directory $(BUILD)/bench-observe
	$(BUILD)/bench-observe

methods-table: quantize
	sh tests/calib/methods.sh ./quantize $(QUANTIZE_SHARED)/models/classify/squeezenet1.1_imagenet.onnx \
	    $(addprefix $(QUANTIZE_SHARED)/data/imagenet/,calib val val_labels.txt) --preset imagenet

# Random models, for SECONDS_ seconds (default 600) on one core. What is found is kept in build/fuzz as crash-*, slow-unit-*,
# leak-*, oom-* or timeout-*, and repeats with build/fuzz/fuzz FILE.
SECONDS_ ?= 600

fuzz: deps-fuzz
	@sh tests/install-packages.sh libonnx-testdata
	@$(MAKE) --no-print-directory BUILD=build/fuzz build/fuzz/fuzz
	sh tests/fuzz/run.sh build/fuzz/fuzz $(TESTDATA) $(SECONDS_)

# Whole jobs, calibration, start-up beside plain inference, see tests/bench/jobs.js.
bench-jobs: quantize deps-check tests/oracle/node_modules/.installed
	@test -e build/bench/text_transformer.onnx || $(MAKE) --no-print-directory bench-models
	@QUANTIZE=$(CURDIR)/quantize node tests/bench/jobs.js

# Node counts of simplified models beside OnnxSlim's; models of QUANTIZE_SHARED. OPTIONS: for simplify, e.g. --opset 20.
QUANTIZE_SHARED ?= ../shared

# Our resized photos beside Pillow's, which makes the golden data on the spot.
PHOTOS   ?= $(QUANTIZE_SHARED)/data/imagenet/calib

.PHONY: parity
parity: deps
	@sh tests/install-packages.sh python3-pil python3-numpy
	@$(MAKE) --no-print-directory quantize
	/usr/bin/python3 tests/calib/parity.py ./quantize $(PHOTOS)

simplify-table: quantize
	OPTIONS='$(OPTIONS)' sh tests/simplify/table.sh ./quantize $(QUANTIZE_SHARED)

# Time and memory of simplify on generated graphs; NODES='10000 100000', valgrind=1 counts instructions.
simplify-scaling: quantize $(BUILD)/probe
	sh tests/simplify/scaling.sh ./quantize $(BUILD)/probe $(NODES)

# docs/results.md: the models of QUANTIZE_SHARED quantized and measured in ONNX Runtime, see tests/results/run.js. NAMES: words in
# the names of rows; RUNS, SECONDS, OPTIONS there.
.PHONY: results
results: quantize deps-check tests/oracle/node_modules/.installed
	@QUANTIZE=$(CURDIR)/quantize QUANTIZE_SHARED=$(QUANTIZE_SHARED) node tests/results/run.js $(NAMES)

# ---- lint ----------------------------------------------------------------------------------------------------------------

lint: deps-lint
	sh tests/lint/run.sh
	@$(MAKE) --no-print-directory $(BUILD)/ops-doc
	@$(BUILD)/ops-doc tests/conformance/expected-failures.txt | diff docs/ops.md - || { echo 'FAILED  docs/ops.md is old: make docs'; exit 1; }

clean:
	rm -rf build quantize

.PHONY: all clean deps deps-check deps-lint deps-fuzz demo check unit-tests oracle fuzz lint conformance simplify-table docs bench bench-jobs bench-models \
        bench-observe methods-table simplify-scaling
