"""A stand-in that only answers handshakes and says OK to every statement: for 10,000 connections,
which cost a real server 156 KB and a thread each. Prints its port, ends with its parent's pipe."""

import selectors
import socket
import struct
import sys

OK = b"\x00\x00\x00\x02\x00\x00\x00"
SCRAMBLE = b"01234567890123456789"
GREETING = (
    b"\x0a8.4.0-stand-in\x00" + struct.pack("<I", 1) + SCRAMBLE[:8] + b"\x00"
    + struct.pack("<HBHH", 0xA28F, 45, 2, 0x0008) + bytes([21]) + b"\x00" * 10
    + SCRAMBLE[8:] + b"\x00" + b"mysql_native_password\x00"
)  # fmt: skip


def packet(sequence, body):
    return struct.pack("<I", len(body))[:3] + bytes([sequence]) + body


listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
print(listener.getsockname()[1], flush=True)
selector = selectors.DefaultSelector()
selector.register(listener, selectors.EVENT_READ)
selector.register(sys.stdin, selectors.EVENT_READ)
while True:
    for key, _ in selector.select():
        if key.fileobj is listener:
            client, _address = listener.accept()
            selector.register(client, selectors.EVENT_READ)
            client.sendall(packet(0, GREETING))
        elif key.fileobj is sys.stdin:
            sys.exit()
        else:
            try:
                data = key.fileobj.recv(65536)
                if data:
                    key.fileobj.sendall(packet((data[3] + 1) % 256, OK))
            except OSError:  # whoever said goodbye does not wait for an OK
                data = b""
            if not data:
                selector.unregister(key.fileobj)
                key.fileobj.close()
