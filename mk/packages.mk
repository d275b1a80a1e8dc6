# Debian 12 packages; why each is here: docs/dependencies.md.

PACKAGES_BUILD = gcc libc6-dev libsqlite3-dev pkg-config libuv1-dev libzmq3-dev libprotobuf-c-dev \
	protobuf-c-compiler libonnx-dev libavcodec-dev libavformat-dev libavutil-dev libswscale-dev \
	libdnnl-dev libyaml-dev libjson-c-dev libexpat1-dev libmicrohttpd-dev libsystemd-dev \
	libmosquitto-dev
PACKAGES_TEST = libcmocka-dev mosquitto mosquitto-clients iproute2 libgstrtspserver-1.0-dev \
	gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-ugly \
	libonnx-testdata libffmpeg-nvenc-dev
PACKAGES_LINT = clang-tidy shellcheck
PACKAGES_FUZZ = clang libclang-rt-14-dev
PACKAGES_ARM = gcc-aarch64-linux-gnu libc6-dev-arm64-cross

.PHONY: deps deps-build deps-test
deps: ## install the Debian packages that are missing (root or sudo)
	@mk/deps.sh $(PACKAGES_BUILD) $(PACKAGES_TEST)
deps-build:
	@mk/deps.sh $(PACKAGES_BUILD)
deps-test:
	@mk/deps.sh $(PACKAGES_BUILD) $(PACKAGES_TEST)
