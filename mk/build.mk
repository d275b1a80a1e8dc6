# Sources are found by folder; each folder becomes one archive in $(B)/lib, each daemon one program
# in $(B)/bin. A program's main.c is left out of its archive, so that tests can link the rest.

.DEFAULT_GOAL := all
.PHONY: all
all: $(B)/bin/edge-agent $(B)/bin/cloud-server ## build both daemons

PROTO_C = $(B)/gen/onnx.pb-c.c $(B)/gen/answer.pb-c.c $(B)/gen/stream.pb-c.c
MODULES = base config net media kernels edge-agent cloud-server

base_SRC = $(wildcard common/base/*.c)
config_SRC = $(wildcard common/config/*.c)
net_SRC = $(wildcard common/net/*.c) $(B)/gen/answer.pb-c.c $(B)/gen/stream.pb-c.c
media_SRC = $(wildcard common/media/*.c)
kernels_SRC = $(filter-out kernels/lab/% kernels/cuda/%,$(wildcard kernels/*.c kernels/*/*.c)) $(B)/gen/onnx.pb-c.c
edge-agent_SRC = $(filter-out %/main.c $(WITHOUT),$(wildcard edge-agent/*.c))
cloud-server_SRC = $(filter-out %/main.c,$(wildcard cloud-server/*.c cloud-server/*/*.c))

# What a module stands on, in link order.
base_NEEDS =
config_NEEDS = base
net_NEEDS = config base
media_NEEDS = config base
kernels_NEEDS = base
edge-agent_NEEDS = net media config base
cloud-server_NEEDS = net media kernels config base

objects = $(patsubst %.c,$(B)/obj/%.o,$(patsubst $(B)/gen/%,gen/%,$(1)))
archives = $(patsubst %,$(B)/lib/%.a,$(1) $($(1)_NEEDS))

define module_rule
$(B)/lib/$(1).a: $(call objects,$($(1)_SRC))
endef
$(foreach m,$(MODULES),$(eval $(call module_rule,$(m))))

$(B)/lib/%.a:
	@mkdir -p $(@D)
	@rm -f $@
	@ar rcs $@ $^
	@echo "  AR $@"

$(B)/obj/edge-agent/%.o: CPPFLAGS += -Iedge-agent
$(B)/obj/cloud-server/%.o: CPPFLAGS += -Icloud-server
# gcc makes vectors of loops of unknown length at -O3 only: three times as fast (kernels/lab/broadcast.c).
$(B)/obj/kernels/cpu/taps.o $(B)/obj/kernels/cpu/pool_gradient.o $(B)/obj/kernels/cpu/broadcast.o $(B)/obj/kernels/cpu/sum_to.o: private OWN_CFLAGS += -O3
$(B)/obj/kernels/cpu/row_norm.o $(B)/obj/kernels/cpu/where.o $(B)/obj/kernels/cpu/attention.o: private OWN_CFLAGS += -O3
# A loop with sqrtf in it only where errno may stay as it was.
$(B)/obj/kernels/cpu/optimise.o: private OWN_CFLAGS += -O3 -fno-math-errno
# Written for one kind of processor; elsewhere it says that it is not available.
ifneq ($(findstring x86_64,$(shell $(CC) -dumpmachine)),)
$(B)/obj/kernels/cpu/winograd.o $(B)/obj/kernels/cpu/split.o $(B)/obj/kernels/cpu/split_conv_read.o $(B)/obj/kernels/cpu/split_conv_finish.o: private OWN_CFLAGS += -O3 -mavx512f -mavx512bw -mavx512vl -mavx512bf16
$(B)/obj/kernels/cpu/split_conv.o: private OWN_CFLAGS += -O3 -mavx512f -mavx512bw -mavx512vl -mavx512bf16 -mamx-tile -mamx-bf16
endif
# Selections instead of branches, and roots, only where nobody asks for traps or errno.
$(B)/obj/kernels/cpu/lanes.o: private OWN_CFLAGS += -O3 -fno-math-errno -fno-trapping-math
# There a multiplication and an addition are one instruction too where the processor has it: sums are exact.
$(B)/obj/kernels/cpu/bytes.o: private OWN_CFLAGS += -O3 -fno-math-errno -fno-trapping-math -ffp-contract=fast
# Threads are shared with oneDNN by way of OpenMP, in this one place. clang's would be others.
$(B)/obj/kernels/cpu/parallel.o: private OWN_CFLAGS += $(if $(findstring clang,$(CC)),,-fopenmp)

# What checks share: comparisons, gradients against differences, and the op table with double elements
# (kernels/ops/real.h), one object that shows two names. The doubles run in one thread, and the same
# sources are watched as floats, so ThreadSanitizer leaves these alone: a frozen network in doubles took it
# more than twelve of the fifteen minutes that a test has.
DOUBLES = $(B)/obj/f64/ops.o $(patsubst %,$(B)/obj/kernels/lab/%.o,compare derivative double)

$(B)/obj/f64/%.o: kernels/%.c $(B)/flags
	@mkdir -p $(@D)
	@echo "  CC $< (double)"
	@$(CC) $(CPPFLAGS) -DOPS_F64 $(ALL_CFLAGS) \
		$(if $(findstring =thread,$(SANITIZE)),-fno-sanitize=thread) -MMD -MP -c -o $@ $<

$(B)/obj/f64/ops.o: $(patsubst kernels/%.c,$(B)/obj/f64/%.o,$(wildcard kernels/ops/*.c))
	@$(CC) -r -nostdlib -o $@ $^
	@objcopy --keep-global-symbol=op_find_f64 --keep-global-symbol=op_all_f64 $@

$(B)/obj/%.o: %.c $(B)/flags | $(PROTO_C)
	@mkdir -p $(@D)
	@echo "  CC $<"
	@$(CC) $(CPPFLAGS) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

# Generated code is not held to our warnings.
$(B)/obj/gen/%.o: $(B)/gen/%.c $(B)/flags
	@mkdir -p $(@D)
	@$(CC) $(CPPFLAGS) $(filter-out -W%,$(ALL_CFLAGS)) -MMD -MP -c -o $@ $<

$(B)/gen/onnx.pb-c.c: /usr/include/onnx/onnx.proto
	@mkdir -p $(@D)
	@echo "  PROTOC onnx.proto"
	@protoc-c --proto_path=/usr/include/onnx --c_out=$(@D) onnx.proto

$(B)/gen/%.pb-c.c: proto/%.proto
	@mkdir -p $(@D)
	@echo "  PROTOC $<"
	@protoc-c --proto_path=proto --c_out=$(@D) $<
$(B)/gen/stream.pb-c.c: $(B)/gen/answer.pb-c.c

$(B)/bin/edge-agent: $(B)/obj/edge-agent/main.o $(call archives,edge-agent)
$(B)/bin/cloud-server: $(B)/obj/cloud-server/main.o $(call archives,cloud-server)
# Back ends that it opens at run time call its functions.
$(B)/bin/cloud-server: private LDFLAGS += -rdynamic
# There whole or not at all: another make, or a test, may run it meanwhile.
$(B)/bin/%:
	@mkdir -p $(@D)
	@echo "  LD $@"
	@$(CC) $(LDFLAGS) -o $@.new $^ $(LDLIBS)
	@mv $@.new $@

# Everything is compiled again when the flags change.
$(B)/flags: FORCE
	@mkdir -p $(@D)
	@echo '$(CC) $(ALL_CFLAGS) $(VERSION)' | cmp -s - $@ || echo '$(CC) $(ALL_CFLAGS) $(VERSION)' > $@
.PHONY: FORCE
FORCE:

# The version is compiled into one file only, the commit into that and into cards of trained models.
$(B)/obj/common/config/cli.o: CPPFLAGS += -DRUNESPOOR_VERSION='"$(VERSION)"' -DRUNESPOOR_COMMIT='"$(COMMIT)"'
$(B)/obj/cloud-server/learn/export_card.o: CPPFLAGS += -DRUNESPOOR_COMMIT='"$(COMMIT)"'
$(B)/obj/common/config/cli.o $(B)/obj/cloud-server/learn/export_card.o: $(B)/commit

$(B)/commit: FORCE
	@mkdir -p $(@D)
	@echo '$(VERSION) $(COMMIT)' | cmp -s - $@ || echo '$(VERSION) $(COMMIT)' >$@

-include $(shell find $(B)/obj -name '*.d' 2>/dev/null)
