# The CUDA back end: kernels-cuda.so, which the daemons open at run time, and the same sources as plain
# loops, for checks on machines without a GPU (kernels/cuda/launch.h).

CUDA ?= $(firstword $(wildcard /usr/local/cuda /opt/cuda) $(patsubst %/bin/nvcc,%,$(shell command -v nvcc 2>/dev/null)))
NVCC = $(CUDA)/bin/nvcc
# Architectures from Turing on, as far as the toolkit knows them: later ones of the same generation (8.7, 10.3,
# 12.1) run the code of the first, and those to come get the last one's for an architecture that is not
# there yet, which the driver compiles.
CUDA_ARCHS ?= $(eval CUDA_ARCHS := $(filter 75 80 86 89 90 100 110 120,$(shell \
	$(NVCC) --list-gpu-arch | sed 's/compute_//' | sort -n)))$(CUDA_ARCHS)

# cuDNN and cuBLASLt: with the toolkit, with the system, or in Python's packages; header and library from the
# first of these places that has both.
CUDA_ROOTS = $(eval CUDA_ROOTS := $(CUDA) /usr $(wildcard $(addsuffix /nvidia/*,$(shell \
	python3 -c 'import site; print(*site.getsitepackages(), site.getusersitepackages())' 2>/dev/null))))$(CUDA_ROOTS)
CUDA_TRIPLE = $(eval CUDA_TRIPLE := $(shell $(CC) -dumpmachine))$(CUDA_TRIPLE)
cuda_headers = $(wildcard $(foreach root,$(1),$(root)/include/$(2) $(root)/include/$(CUDA_TRIPLE)/$(2)))
cuda_libraries = $(wildcard $(foreach root,$(1),$(addprefix $(root)/,lib64/$(2) lib/$(2) lib/$(CUDA_TRIPLE)/$(2))))
cuda_root = $(firstword $(foreach root,$(CUDA_ROOTS),$(if $(and \
	$(call cuda_headers,$(root),$(1)),$(call cuda_libraries,$(root),$(2))),$(root))))
CUDNN_ROOT = $(eval CUDNN_ROOT := $(call cuda_root,cudnn.h,libcudnn.so.9))$(CUDNN_ROOT)
CUDNN_H = $(firstword $(call cuda_headers,$(CUDNN_ROOT),cudnn.h))
CUDNN_SO = $(firstword $(call cuda_libraries,$(CUDNN_ROOT),libcudnn.so.9))
CUBLASLT_ROOT = $(eval CUBLASLT_ROOT := $(call cuda_root,cublasLt.h,libcublasLt.so.[0-9]*))$(CUBLASLT_ROOT)
CUBLASLT_H = $(firstword $(call cuda_headers,$(CUBLASLT_ROOT),cublasLt.h))
CUBLASLT_SO = $(firstword $(call cuda_libraries,$(CUBLASLT_ROOT),libcublasLt.so.[0-9]*))
CUDART_A = $(firstword $(call cuda_libraries,$(CUDA_ROOTS),libcudart_static.a))
# Of a pair that no place has whole: which half is missing, and where the other one is.
cuda_lack = $(if $(3),,$(or \
	$(addprefix no $(1) for ,$(firstword $(call cuda_libraries,$(CUDA_ROOTS),$(2)))),$(addprefix \
	no $(2:.[0-9]*=) for ,$(firstword $(call cuda_headers,$(CUDA_ROOTS),$(1)))),no $(1) and $(2:.[0-9]*=)))
CUDA_MISSING = $(strip $(if $(wildcard $(NVCC)),$(or \
	$(call cuda_lack,cudnn.h,libcudnn.so.9,$(CUDNN_ROOT)),$(call \
	cuda_lack,cublasLt.h,libcublasLt.so.[0-9]*,$(CUBLASLT_ROOT)),$(if \
	$(CUDART_A),,no libcudart_static.a)),no nvcc))

# What only a GPU has; emulate.c stands in its place.
CUDA_REAL = kernels/cuda/gpu.c $(wildcard kernels/cuda/lib_*.c)
CUDA_SHARED = $(filter-out $(CUDA_REAL) kernels/cuda/emulate.c,$(wildcard kernels/cuda/*.c))
CUDA_KERNELS = $(wildcard kernels/cuda/*.cu)
# The plain steps that ladders begin with (kernels/lab/cuda_lab.h); names differ from those of kernels.
CUDA_PLAIN = $(wildcard kernels/lab/*.cu)
vpath %.cu kernels/cuda kernels/lab

# ---- the emulated device ----

EMULATED = $(patsubst kernels/cuda/%,$(B)/obj/emulated/%.o,$(CUDA_SHARED) kernels/cuda/emulate.c $(CUDA_KERNELS))

# A kernel that a file shows to others as a macro's function has its prototype in the file's header.
$(B)/obj/emulated/%.cu.o: %.cu $(B)/flags
	@mkdir -p $(@D)
	@echo "  CC $< (emulated)"
	@$(CC) $(CPPFLAGS) $(ALL_CFLAGS) -MMD -MP -x c -c -o $@ $<

$(B)/obj/emulated/%.c.o: kernels/cuda/%.c $(B)/flags
	@mkdir -p $(@D)
	@echo "  CC $< (emulated)"
	@$(CC) $(CPPFLAGS) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

$(B)/test/lab/cuda_ops: $(OPS) $(B)/obj/kernels/lab/ops.o $(B)/obj/kernels/lab/device_emulated.o $(EMULATED) \
		$(DOUBLES) $(call archives,kernels)
	@mkdir -p $(@D)
	@$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

# Ladders of the kernels (kernels/lab/cuda_lab.h).
CUDA_LADDERS = $(patsubst %.c,$(B)/obj/%.o,$(wildcard kernels/lab/cuda_*.c))

$(B)/test/lab/cuda_kernels: $(CUDA_LADDERS) $(patsubst kernels/lab/%,$(B)/obj/emulated/%.o,$(CUDA_PLAIN)) \
		$(EMULATED) $(call archives,kernels)
	@mkdir -p $(@D)
	@$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

# Unit tests of the back end run on it.
$(B)/test/unit/kernels/cuda_%_test: $(B)/obj/tests/unit/kernels/cuda_%_test.o $(EMULATED) $(DOUBLES) \
		$(call archives,kernels)
	@mkdir -p $(@D)
	@$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS) -lcmocka

$(B)/test/unit/cloud-server/cuda_%_test: $(B)/obj/tests/unit/cloud-server/cuda_%_test.o $(EMULATED) \
		$(call archives,cloud-server)
	@mkdir -p $(@D)
	@$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS) -lcmocka

# ---- the real one ----

.PHONY: cuda cuda-library
cuda: ## build the back end for NVIDIA GPUs, where nvcc, cuDNN 9 and cuBLASLt are
	@$(if $(CUDA_MISSING),echo "cuda: skipped ($(CUDA_MISSING))",mk/deps.sh g++ && $(MAKE) --no-print-directory cuda-library)

CUDA_SO = $(B)/lib/kernels-cuda.so
# What has the engine's symbols: archives of it, or a program.
CUDA_ENGINE ?= $(B)/lib/kernels.a $(B)/lib/base.a
cuda-library: $(CUDA_SO)
	@echo "cuda: archs=$$(echo $(CUDA_ARCHS) | tr ' ' ,) file=$(CUDA_SO)"

CUDA_FLAGS = $(foreach a,$(CUDA_ARCHS),-gencode=arch=compute_$(a),code=sm_$(a)) \
	-gencode=arch=compute_$(lastword $(CUDA_ARCHS)),code=compute_$(lastword $(CUDA_ARCHS))
CUDA_CPPFLAGS = -D_GNU_SOURCE -Icommon -Ikernels
# Python's folder of cuBLASLt may have headers of another run time: the toolkit's come before.
CUDA_INCLUDES = $(addprefix -isystem ,$(dir $(CUDNN_H)) $(CUDA)/include $(dir $(CUBLASLT_H)))
CUDA_OBJECTS = $(patsubst kernels/cuda/%,$(B)/obj/cuda/%.o,$(CUDA_SHARED) $(CUDA_REAL) $(CUDA_KERNELS))

$(B)/obj/cuda/%.cu.o: %.cu $(B)/flags $(B)/cuda-flags
	@mkdir -p $(@D)
	@echo "  NVCC $<"
	@$(NVCC) $(CUDA_CPPFLAGS) -I$(CUDA)/include $(CUDA_FLAGS) --threads 2 -std=c++17 -O3 -Werror all-warnings \
		-Xcompiler=-fPIC,-Wall,-fvisibility=hidden -MMD -MP -MF $(@:.o=.d) -c -o $@ $<

$(B)/obj/cuda/%.c.o: kernels/cuda/%.c $(B)/flags $(B)/cuda-flags
	@mkdir -p $(@D)
	@echo "  CC $< (cuda)"
	@$(CC) $(CPPFLAGS) $(CUDA_INCLUDES) $(ALL_CFLAGS) -fPIC -fvisibility=hidden -MMD -MP -c -o $@ $<

$(B)/cuda-flags: FORCE
	@mkdir -p $(@D)
	@echo '$(CUDA_FLAGS) $(CUDA_INCLUDES)' | cmp -s - $@ || echo '$(CUDA_FLAGS) $(CUDA_INCLUDES)' > $@

# Ladders on a GPU. Of the archives they take what they call, and so need no library but CUDA's run time.
$(B)/lib/cuda.a: $(filter-out $(B)/obj/cuda/lib_%,$(CUDA_OBJECTS))

$(B)/test/gpu/cuda_kernels: $(CUDA_LADDERS) $(patsubst kernels/lab/%,$(B)/obj/cuda/%.o,$(CUDA_PLAIN)) \
		$(B)/lib/cuda.a $(call archives,kernels)
	@mkdir -p $(@D)
	@echo "  LD $@"
	@$(CC) $(LDFLAGS) -o $@ $^ $(CUDART_A) -lstdc++ -ldl -lrt -lm

# What it takes from the engine (graphs, passes, errors) comes from the program that loads it.
$(CUDA_SO): $(CUDA_OBJECTS) $(CUDA_ENGINE)
	@mkdir -p $(@D)
	@echo "  LD $@"
	@$(CC) -shared -pthread -Wl,-soname,$(@F) -Wl,--exclude-libs,ALL -o $@.new $(CUDA_OBJECTS) $(CUDART_A) $(CUDNN_SO) \
		$(CUBLASLT_SO) $(addprefix -Wl$(comma)-rpath$(comma),$(sort $(dir $(CUDNN_SO) $(CUBLASLT_SO)))) -lstdc++ -ldl -lrt -lm
	@mk/check-cuda.sh $@.new $(CUDA_ENGINE)
	@mv $@.new $@
comma = ,

# Programs that load it hold the whole engine, and show it.
LOADS_BACK_ENDS = -rdynamic -Wl,--whole-archive $(B)/lib/kernels.a $(B)/lib/base.a -Wl,--no-whole-archive
$(B)/bin/cloud-server $(B)/test/unit/kernels/cuda_device_test: private LDFLAGS += $(LOADS_BACK_ENDS)
