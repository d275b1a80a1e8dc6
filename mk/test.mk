# Tests. tests/unit/MODULE/NAME_test.c becomes $(B)/test/unit/MODULE/NAME_test, linked with MODULE
# and what it stands on. Pipeline tests are programs too; they start the installed binaries.

UNIT_TESTS = $(patsubst tests/%.c,$(B)/test/%,$(wildcard tests/unit/*/*_test.c))
PIPELINE_TESTS = $(patsubst tests/%.c,$(B)/test/%,$(wildcard tests/pipeline/*_test.c))

FUZZ_REPLAYS = $(patsubst tests/fuzz/%_fuzz.c,$(B)/test/fuzz/%_replay,$(wildcard tests/fuzz/*_fuzz.c))
ALL_TESTS = $(UNIT_TESTS) $(LADDERS) $(FUZZ_REPLAYS) $(SIM_TESTS) $(B)/test/conformance_test \
	$(PIPELINE_TESTS) $(addprefix $(B)/test/faults/,camera_test mpegts_test)

.PHONY: test test-unit test-pipeline
# Builds with all processors, unless told how many.
test: deps-test ## build and pass all tests
	@$(MAKE) --no-print-directory $(if $(filter -j%,$(MAKEFLAGS)),,-j$(shell nproc)) all cuda test-programs
	@TEST_DATA=$(TEST_DATA) B=$(B) tests/run $(ALL_TESTS)

test-unit: $(UNIT_TESTS) ## unit tests only
	@TEST_DATA=$(TEST_DATA) B=$(B) tests/run $(UNIT_TESTS)

test-pipeline: all $(PIPELINE_TESTS) ## tests of the real daemons only
	@TEST_DATA=$(TEST_DATA) B=$(B) tests/run $(PIPELINE_TESTS)

.PHONY: test-programs
test-programs: $(ALL_TESTS)

# One test by name: make test-one T=unit/base/queue_test
.PHONY: test-one
test-one: $(B)/test/$(T)
	@TEST_DATA=$(TEST_DATA) B=$(B) $<

kernels_EXTRA = $(DOUBLES)

define unit_rule
$(B)/test/unit/$(1)/%: $(B)/obj/tests/unit/$(1)/%.o $($(1)_EXTRA) $(call archives,$(1))
	@mkdir -p $$(@D)
	@$$(CC) $$(LDFLAGS) -o $$@ $$^ $$(LDLIBS) -lcmocka
endef
$(foreach m,$(MODULES),$(eval $(call unit_rule,$(m))))
$(B)/test/unit/cloud-server/report_test: LDLIBS += -ljson-c
$(B)/test/unit/cloud-server/samples_test: LDFLAGS += -Wl,--wrap=calloc

# It plays the hardware that a test cannot count on.
$(B)/test/unit/media/encode_rung_test: LDFLAGS += -Wl,--wrap=encode_trial_check,--wrap=encoder_open,--wrap=encoder_encode

# A double of NVIDIA's driver, which libavcodec loads; it asks the test program for its pictures. In a folder with
# all of the driver, and in one with a part of it, where an empty file stands before the box's own.
NVIDIA_DOUBLE = $(addprefix $(B)/test/nvidia_double/,all/libcuda.so.1 all/libnvcuvid.so.1 cuda/libcuda.so.1)
NVIDIA_NOTHING = $(B)/test/nvidia_double/cuda/libnvcuvid.so.1
$(B)/test/unit/media/decode_device_test: LDFLAGS += -rdynamic
$(B)/test/unit/media/decode_device_test: | $(NVIDIA_DOUBLE) $(NVIDIA_NOTHING)
$(B)/obj/tests/unit/media/nvidia_double.o: private OWN_CFLAGS += -fPIC
$(B)/test/nvidia_double/double.so: $(B)/obj/tests/unit/media/nvidia_double.o
	@mkdir -p $(@D)
	@echo "  LD $@"
	@$(CC) $(LDFLAGS) -shared -o $@ $(filter %.o,$^)
$(NVIDIA_DOUBLE): $(B)/test/nvidia_double/double.so
	@mkdir -p $(@D)
	@ln -sf ../double.so $@
$(NVIDIA_NOTHING):
	@mkdir -p $(@D)
	@: >$@

# It runs the agent's camera beside the server's degrade.
$(B)/test/unit/cloud-server/degrade_test: $(B)/obj/tests/unit/cloud-server/degrade_test.o $(B)/lib/edge-agent.a \
		$(call archives,cloud-server)
	@mkdir -p $(@D)
	@$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS) -lcmocka

# It starts a broker.
$(B)/test/unit/edge-agent/sink_mqtt_test: $(B)/obj/tests/unit/edge-agent/sink_mqtt_test.o \
		$(B)/obj/tests/pipeline/harness.o $(call archives,edge-agent)
	@mkdir -p $(@D)
	@$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS) -lcmocka
$(B)/obj/tests/unit/edge-agent/sink_mqtt_test.o: CPPFLAGS += -Itests/pipeline

$(B)/obj/tests/unit/edge-agent/%.o: CPPFLAGS += -Iedge-agent
$(B)/obj/tests/unit/cloud-server/%.o $(B)/obj/tests/fuzz/labels_fuzz.o $(B)/obj/tests/fuzz/arm_fuzz.o $(B)/obj/tests/fuzz/probe_fuzz.o: CPPFLAGS += -Icloud-server -Itests
$(B)/obj/tests/pipeline/%.o: CPPFLAGS += -Itests/pipeline -Itests

# Pipeline tests share one harness (start, wait, stop processes by id).
$(B)/test/pipeline/%: $(B)/obj/tests/pipeline/%.o $(B)/obj/tests/pipeline/harness.o $(B)/obj/tests/pipeline/client.o \
		$(B)/lib/net.a $(B)/lib/media.a $(B)/lib/config.a $(B)/lib/base.a
	@mkdir -p $(@D)
	@$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS) -ljson-c -lcmocka

$(B)/test/pipeline/probe_test $(B)/test/pipeline/probe_fault_test: $(B)/obj/tests/pipeline/probe_rig.o
$(B)/test/pipeline/keys_test: $(B)/obj/tests/pipeline/bad_peers.o
$(B)/test/pipeline/probe_link_test: $(B)/obj/tests/pipeline/probe_link.o $(B)/obj/tests/pipeline/probe_line.o

# Runs of both daemons in which one is killed, at a call too; a sanitizer wants to be loaded first, so there by
# time alone.
$(B)/test/pipeline/lossless_test: $(B)/obj/tests/pipeline/fault_run.o
ifeq ($(SANITIZE),)
$(B)/test/pipeline/lossless_test: | $(B)/test/pipeline/fault_kill.so
endif
$(B)/test/pipeline/fault_kill.so: tests/pipeline/fault_kill.c $(B)/flags
	@mkdir -p $(@D)
	@echo "  LD $@"
	@$(CC) $(CPPFLAGS) $(ALL_CFLAGS) -fPIC -shared -MMD -MP -MF $(B)/obj/tests/pipeline/fault_kill.d -o $@ $<

# Stands in for a GPU's back end.
$(B)/test/pipeline/gpu_test $(B)/test/pipeline/train_test: | $(B)/test/pipeline/kernels-cuda.so
$(B)/test/pipeline/kernels-cuda.so: tests/pipeline/gpu_double.c $(B)/flags
	@mkdir -p $(@D)
	@echo "  LD $@"
	@$(CC) $(CPPFLAGS) $(ALL_CFLAGS) -fPIC -shared -MMD -MP -MF $(B)/obj/tests/pipeline/gpu_double.d -o $@ $<

# A double of NVIDIA's driver that has its pictures with it, for daemons.
NVIDIA_GPU = $(addprefix $(B)/test/pipeline/nvidia/,libcuda.so.1 libnvcuvid.so.1)
$(B)/test/pipeline/decoder_test: | $(NVIDIA_GPU)
$(B)/obj/tests/pipeline/nvidia_gpu.o: private OWN_CFLAGS += -fPIC
$(B)/test/pipeline/nvidia/double.so: $(addprefix $(B)/obj/tests/,pipeline/nvidia_gpu.o unit/media/nvidia_double.o)
	@mkdir -p $(@D)
	@echo "  LD $@"
	@$(CC) $(LDFLAGS) -shared -o $@ $(filter %.o,$^)
$(NVIDIA_GPU): $(B)/test/pipeline/nvidia/double.so
	@ln -sf double.so $@

# Fuzz targets: tests/fuzz/NAME_fuzz.c over the module below, with tests/fuzz/corpus/NAME as seeds.
# Here they replay the corpus; `make fuzz` (mk/sanitize.mk) lets libFuzzer search.
fuzz_MODULE_config = config
fuzz_MODULE_wire = net
fuzz_MODULE_onnx = kernels
fuzz_MODULE_npy = kernels
fuzz_MODULE_labels = cloud-server
fuzz_MODULE_arm = cloud-server
fuzz_MODULE_probe = cloud-server
fuzz_MODULE_decode = media

$(B)/obj/tests/fuzz/replay-%.o: tests/fuzz/replay.c $(B)/flags
	@mkdir -p $(@D)
	@$(CC) $(CPPFLAGS) $(ALL_CFLAGS) -DCORPUS='"tests/fuzz/corpus/$*"' -c -o $@ $<

define fuzz_rule
$(B)/test/fuzz/$(1)_replay: $(B)/obj/tests/fuzz/$(1)_fuzz.o $(B)/obj/tests/fuzz/replay-$(1).o \
		$(call archives,$(fuzz_MODULE_$(1)))
	@mkdir -p $$(@D)
	@$$(CC) $$(LDFLAGS) -o $$@ $$^ $$(LDLIBS)
endef
$(foreach f,config wire onnx npy labels arm probe decode,$(eval $(call fuzz_rule,$(f))))

.SECONDARY: # objects stay: they are what makes the next build quick
