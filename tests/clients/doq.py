"""Ask over DNS over QUIC (RFC 9250) with aioquic: doq.py HOST PORT CERTIFICATE.

Prints what came: an answer, several at once on one connection, and the code that a message ID other than 0 closes with.
"""

import asyncio
import ipaddress
import struct
import sys

from aioquic.asyncio.client import connect
from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.events import ConnectionTerminated, StreamDataReceived

RCODES = {0: "NOERROR", 3: "NXDOMAIN", 5: "REFUSED"}


def query(name, ident=0):
    """A query for A, with its length before it."""
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    message = struct.pack("!6H", ident, 0, 1, 0, 0, 0) + labels + b"\0" + struct.pack("!2H", 1, 1)
    return struct.pack("!H", len(message)) + message


class Client(QuicConnectionProtocol):
    """Collects what comes on each stream until its end, and how the connection ended."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.streams = {}
        self.ended = asyncio.get_event_loop().create_future()

    def ask(self, octets):
        """Send a stream whole; a future of what comes back."""
        stream = self._quic.get_next_available_stream_id()
        answer = asyncio.get_event_loop().create_future()
        self.streams[stream] = (bytearray(), answer)
        self._quic.send_stream_data(stream, octets, end_stream=True)
        self.transmit()
        return answer

    def quic_event_received(self, event):
        if isinstance(event, StreamDataReceived):
            octets, answer = self.streams[event.stream_id]
            octets += event.data
            if event.end_stream:
                answer.set_result(bytes(octets))
        elif isinstance(event, ConnectionTerminated) and not self.ended.done():
            self.ended.set_result(event.error_code)


def told(name, answer):
    """One line about an answer."""
    length, ident, flags = struct.unpack("!3H", answer[:6])
    assert length == len(answer) - 2 and ident == 0, "one message, and ID 0"
    found = str(ipaddress.IPv4Address(answer[-4:])) if flags & 15 == 0 else ""
    return f"{name} {RCODES[flags & 15]} {found}".strip()


async def main(host, port, certificate):
    """All of it."""
    def configuration():
        made = QuicConfiguration(is_client=True, alpn_protocols=["doq"], server_name="localhost")
        made.load_verify_locations(certificate)
        return made

    async with connect(host, port, configuration=configuration(), create_protocol=Client) as client:
        names = ["2.0.0.127.bl.test", "9.9.9.9.bl.test", "4.3.2.1.bl.test"]
        answers = await asyncio.wait_for(asyncio.gather(*[client.ask(query(name)) for name in names]), 20)
        for name, answer in zip(names, answers):
            print(told(name, answer))
    async with connect(host, port, configuration=configuration(), create_protocol=Client) as client:
        client.ask(query("2.0.0.127.bl.test", 7))
        print("an ID closes with", await asyncio.wait_for(client.ended, 20))


asyncio.run(main(sys.argv[1], int(sys.argv[2]), sys.argv[3]))
