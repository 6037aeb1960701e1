"""gRPC's interoperability cases with Debian's grpcio, as client and as server; messages are written by hand.

interop_peer.py server             serves on a free port of the loopback, and prints it
interop_peer.py client HOST:PORT   runs every case, and prints the name of each that passed
"""

import sys
import threading
from concurrent import futures

import grpc

SERVICE = "/grpc.testing.TestService/"
INPUT_SIZES = [27182, 8, 1828, 45904]
OUTPUT_SIZES = [31415, 9, 2653, 58979]
SPECIAL = "\t\ntest with whitespace\r\nand Unicode BMP \u263a and non-BMP \U0001f608\t\n"
INITIAL = "x-grpc-test-echo-initial"
TRAILING = "x-grpc-test-echo-trailing-bin"


def varint(number):
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


def number(field, value):
    return varint(field << 3) + varint(value) if value else b""


def block(field, value):
    return varint(field << 3 | 2) + varint(len(value)) + value


def fields(data):
    """(number, value) of each field: varints and blocks are all there is."""
    at = 0

    def read():
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(data):
        tag = read()
        value = read()
        if tag & 7 == 2:
            yield tag >> 3, data[at : at + value]
            at += value
        else:
            yield tag >> 3, value


def first(data, field, default):
    return next((value for key, value in fields(data) if key == field), default)


def payload(size):
    return block(2, bytes(size))


def payload_size(message, field=1):
    return len(first(first(message, field, b""), 2, b""))


def status_of(message):
    status = first(message, 7, None)
    return None if status is None else (first(status, 1, 0), first(status, 2, b"").decode())


CODES = {code.value[0]: code for code in grpc.StatusCode}


class Server(grpc.GenericRpcHandler):
    def service(self, details):
        name = details.method
        if name == SERVICE + "EmptyCall":
            return grpc.unary_unary_rpc_method_handler(lambda request, context: b"")
        if name == SERVICE + "UnaryCall":
            return grpc.unary_unary_rpc_method_handler(self.unary)
        if name == SERVICE + "StreamingOutputCall":
            return grpc.unary_stream_rpc_method_handler(self.outputs)
        if name == SERVICE + "StreamingInputCall":
            return grpc.stream_unary_rpc_method_handler(self.inputs)
        if name == SERVICE + "FullDuplexCall":
            return grpc.stream_stream_rpc_method_handler(self.duplex)
        return None

    @staticmethod
    def echo(context):
        for key, value in context.invocation_metadata():
            if key == INITIAL:
                context.send_initial_metadata([(key, value)])
            if key == TRAILING:
                context.set_trailing_metadata([(key, value)])

    @staticmethod
    def obey(request, context):
        status = status_of(request)
        if status is not None and status[0] != 0:
            context.abort(CODES[status[0]], status[1])

    def unary(self, request, context):
        self.echo(context)
        self.obey(request, context)
        return block(1, payload(first(request, 2, 0)))

    @staticmethod
    def outputs(request, context):
        for key, value in fields(request):
            if key == 2:
                yield block(1, payload(first(value, 1, 0)))

    @staticmethod
    def inputs(requests, context):
        return number(1, sum(payload_size(request) for request in requests))

    def duplex(self, requests, context):
        self.echo(context)
        for request in requests:
            self.obey(request, context)
            yield from self.outputs(request, context)


class Cases:
    def __init__(self, channel):
        self.empty = channel.unary_unary(SERVICE + "EmptyCall")
        self.unary = channel.unary_unary(SERVICE + "UnaryCall")
        self.output = channel.unary_stream(SERVICE + "StreamingOutputCall")
        self.input = channel.stream_unary(SERVICE + "StreamingInputCall")
        self.duplex = channel.stream_stream(SERVICE + "FullDuplexCall")
        self.unimplemented = channel.unary_unary(SERVICE + "UnimplementedCall")
        self.unknown = channel.unary_unary("/grpc.testing.UnimplementedService/UnimplementedCall")

    @staticmethod
    def large():
        return number(2, 314159) + block(3, payload(271828))

    @staticmethod
    def wanting(size, body=0):
        return block(2, number(1, size)) + block(3, payload(body))

    @staticmethod
    def fails(work):
        try:
            work()
        except grpc.RpcError as error:
            return error.code().value[0], error.details()
        raise AssertionError("the call did not fail")

    def empty_unary(self):
        assert self.empty(b"", timeout=10) == b""

    def large_unary(self):
        assert payload_size(self.unary(self.large(), timeout=10)) == 314159

    def client_streaming(self):
        answer = self.input((block(1, payload(size)) for size in INPUT_SIZES), timeout=10)
        assert first(answer, 1, 0) == 74922

    def server_streaming(self):
        request = b"".join(block(2, number(1, size)) for size in OUTPUT_SIZES)
        assert [payload_size(answer) for answer in self.output(request, timeout=10)] == OUTPUT_SIZES

    def ping_pong(self):
        ready = threading.Semaphore(1)

        def requests():
            for size, body in zip(OUTPUT_SIZES, INPUT_SIZES):
                ready.acquire()
                yield self.wanting(size, body)

        sizes = []
        for answer in self.duplex(requests(), timeout=10):
            sizes.append(payload_size(answer))
            ready.release()
        assert sizes == OUTPUT_SIZES

    def empty_stream(self):
        assert list(self.duplex(iter(()), timeout=10)) == []

    def custom_metadata(self):
        metadata = [(INITIAL, "test_initial_metadata_value"), (TRAILING, b"\xab\xab\xab")]
        _, call = self.unary.with_call(self.large(), metadata=metadata, timeout=10)
        stream = self.duplex(iter([self.wanting(314159, 271828)]), metadata=metadata, timeout=10)
        assert len(list(stream)) == 1
        for one in (call, stream):
            assert (INITIAL, "test_initial_metadata_value") in [tuple(pair) for pair in one.initial_metadata()]
            assert (TRAILING, b"\xab\xab\xab") in [tuple(pair) for pair in one.trailing_metadata()]

    def status_code_and_message(self):
        wanted = block(7, number(1, 2) + block(2, b"test status message"))
        assert self.fails(lambda: self.unary(wanted, timeout=10)) == (2, "test status message")
        assert self.fails(lambda: list(self.duplex(iter([wanted]), timeout=10))) == (2, "test status message")

    def special_status_message(self):
        wanted = block(7, number(1, 2) + block(2, SPECIAL.encode()))
        assert self.fails(lambda: self.unary(wanted, timeout=10)) == (2, SPECIAL)

    def unimplemented_method(self):
        assert self.fails(lambda: self.unimplemented(b"", timeout=10))[0] == 12

    def unimplemented_service(self):
        assert self.fails(lambda: self.unknown(b"", timeout=10))[0] == 12

    def cancel_after_begin(self):
        begun = threading.Event()

        def requests():
            begun.wait()
            yield from ()

        call = self.input.future(requests(), timeout=10)
        call.cancel()
        begun.set()
        assert call.code() is grpc.StatusCode.CANCELLED

    def cancel_after_first_response(self):
        over = threading.Event()

        def requests():
            yield self.wanting(31415, 27182)
            over.wait()

        call = self.duplex(requests(), timeout=10)
        assert payload_size(next(call)) == 31415
        call.cancel()
        over.set()
        assert self.fails(lambda: next(call))[0] == 1

    def timeout_on_sleeping_server(self):
        over = threading.Event()

        def requests():
            yield block(3, payload(27182))
            over.wait()

        assert self.fails(lambda: list(self.duplex(requests(), timeout=0.03)))[0] == 4
        over.set()


def serve():
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=8))
    server.add_generic_rpc_handlers((Server(),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(port, flush=True)
    sys.stdin.read()
    server.stop(None)


def call(address):
    for compression in (grpc.Compression.NoCompression, grpc.Compression.Gzip):
        with grpc.insecure_channel(address, compression=compression) as channel:
            cases = Cases(channel)
            for name in vars(Cases):
                if not name.startswith("_") and name not in ("large", "wanting", "fails"):
                    getattr(cases, name)()
                    print(name, flush=True)


if sys.argv[1] == "server":
    serve()
else:
    call(sys.argv[2])
