"""A host that lies: the real fairlead-gateway, with this in place of its core, so that `fairlead` hears over a good
link whatever a test wants it to hear."""

import base64
import ctypes
import ctypes.util
import os
import socket
import subprocess
import threading

from wire import data, latest, number

SODIUM = ctypes.CDLL(ctypes.util.find_library("sodium") or "libsodium.so.23")
CONTEXT = b"fairlead/link/responder/v1\0"
PACKET = 256 * 1024


class FalseHost:
    """`answers` by method name: a function from the request's bytes to what follows, a list of replies and the
    call's error (None, or packed ErrorDetail with a status number in front)."""

    def __init__(self, bin_dir, port, env, answers):
        self.answers = answers
        self.public, self.secret = ctypes.create_string_buffer(32), ctypes.create_string_buffer(64)
        SODIUM.sodium_init()
        SODIUM.crypto_sign_keypair(self.public, self.secret)
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.core, self.ready, self.methods, self.asked = ours, threading.Event(), {}, []
        with theirs:
            def onto_fd_3():    # where the gateway looks for its core
                os.dup2(theirs.fileno(), 3)
            self.gateway = subprocess.Popen(  # pylint: disable=subprocess-popen-preexec-fn
                [bin_dir / "fairlead-gateway", "--listen", f"127.0.0.1:{port}", "--host-key", self.key],
                env=env, pass_fds=[3], preexec_fn=onto_fd_3, stdin=subprocess.DEVNULL)
        self.thread = threading.Thread(target=self.serve)
        self.thread.start()
        assert self.ready.wait(30), "the gateway listens"

    @property
    def key(self):
        return "ed25519:" + base64.b64encode(self.public.raw[:32]).decode()

    def sign(self, transcript):
        message = CONTEXT + transcript
        signature = ctypes.create_string_buffer(64)
        SODIUM.crypto_sign_detached(signature, None, message, ctypes.c_ulonglong(len(message)), self.secret)
        return signature.raw

    def serve(self):
        while True:
            packet = self.core.recv(PACKET)
            if not packet:
                return
            message = latest(packet)
            if 1 in message:
                self.ready.set()
            elif 2 in message:
                request = latest(message[2])
                self.core.send(data(1, number(1, request.get(1, 0)) + data(2, self.sign(request[2]))))
            elif 3 in message:
                self.core.send(data(2, number(1, latest(message[3]).get(1, 0)) + number(2, 1)))
            elif 4 in message:
                call = latest(message[4])
                self.methods[call[1]] = call[2].decode().rpartition("/")[2]
            elif 5 in message:
                call = latest(message[5])
                self.answer(call[1], call.get(2, b""))

    def answer(self, call, request):
        method = self.methods[call]
        self.asked.append(method)
        answer = self.answers.get(method)
        if answer is None:
            return      # it is never answered
        replies, error = answer(request)
        for reply in replies:
            assert len(reply) < PACKET - 64, "the gateway would not take it"
            self.core.send(data(3, number(1, call) + data(2, reply)))
        status, detail = error or (0, None)
        self.core.send(data(4, number(1, call) + number(2, status) + (data(3, detail) if detail else b"")))

    def close(self):
        self.core.shutdown(socket.SHUT_RDWR)
        self.gateway.wait(30)
        self.thread.join()
        self.core.close()
