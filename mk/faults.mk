# Faults from outside: the peers that tests/faults has for them (a camera, a proxy that misbehaves).

# Looked up only where the camera is built.
GST_CFLAGS = $(eval GST_CFLAGS := $(subst -I,-isystem ,$(shell pkg-config --cflags gstreamer-rtsp-server-1.0)))$(GST_CFLAGS)
GST_LIBS = $(eval GST_LIBS := $(shell pkg-config --libs gstreamer-rtsp-server-1.0 gio-2.0))$(GST_LIBS)

# A sanitizer has enough to do with us.
$(B)/obj/tests/faults/rtsp_server.o $(B)/test/faults/rtsp_server: private override SANITIZE =
$(B)/obj/tests/faults/rtsp_server.o: private OWN_CFLAGS += $(GST_CFLAGS)
$(B)/test/faults/rtsp_server: $(B)/obj/tests/faults/rtsp_server.o
	@mkdir -p $(@D)
	@$(CC) $(LDFLAGS) -o $@ $^ $(GST_LIBS)

$(B)/test/faults/bad_proxy: $(B)/obj/tests/faults/bad_proxy.o
	@mkdir -p $(@D)
	@$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

# Its encoders leave a little behind (libx265).
$(B)/obj/tests/faults/ts_sender.o $(B)/test/faults/ts_sender: private override SANITIZE =
$(B)/test/faults/ts_sender: $(B)/obj/tests/faults/ts_sender.o
	@mkdir -p $(@D)
	@$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

# Of these, make test has camera_test and mpegts_test: the other takes its time, and root.
FAULT_TESTS = $(patsubst tests/%.c,$(B)/test/%,$(wildcard tests/faults/*_test.c))
FAULT_PEERS = $(addprefix $(B)/test/faults/,rtsp_server bad_proxy ts_sender)

$(B)/obj/tests/faults/%.o: CPPFLAGS += -Itests/pipeline -Itests

$(B)/test/faults/%_test: $(B)/obj/tests/faults/%_test.o $(B)/obj/tests/faults/net.o $(B)/obj/tests/faults/tool.o \
		$(B)/obj/tests/pipeline/harness.o $(B)/lib/net.a $(B)/lib/media.a $(B)/lib/config.a $(B)/lib/base.a
	@mkdir -p $(@D)
	@$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS) -ljson-c -lcmocka

$(B)/test/faults/camera_test $(B)/test/faults/mpegts_test: $(B)/obj/tests/faults/cameras.o
$(B)/test/faults/camera_test: | $(B)/test/faults/rtsp_server $(B)/test/faults/bad_proxy
$(B)/test/faults/mpegts_test: | $(B)/test/faults/ts_sender

.PHONY: test-faults
test-faults: deps-test ## both daemons with cameras and links that fail (root for links)
	@$(MAKE) --no-print-directory all $(FAULT_PEERS) $(FAULT_TESTS)
	@TEST_DATA=$(TEST_DATA) B=$(B) tests/run $(FAULT_TESTS)

$(B)/test/faults/soak: $(B)/obj/tests/faults/soak.o $(B)/obj/tests/faults/tool.o \
		$(B)/obj/tests/pipeline/harness.o $(B)/lib/net.a $(B)/lib/media.a $(B)/lib/config.a $(B)/lib/base.a
	@mkdir -p $(@D)
	@$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS) -ljson-c -lcmocka

.PHONY: soak
soak: deps-test ## SOAK_MINUTES (30) of overload beside a dead camera: memory stays flat
	@$(MAKE) --no-print-directory all $(FAULT_PEERS) $(B)/test/faults/soak
	@B=$(B) $(B)/test/faults/soak
