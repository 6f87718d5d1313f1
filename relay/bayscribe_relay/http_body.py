"""The whole body of an HTTP answer, up to a bound."""

import aiohttp


class TooLong(aiohttp.ClientPayloadError):
    """The body is longer than the bound; the rest of it was not read."""


async def whole(answer: aiohttp.ClientResponse, most: int) -> bytes:
    """Read to the end: a single read gives what has arrived so far.

    Args:
        answer: its body is not read yet.
        most: bytes.

    Raises:
        TooLong: there is more; it is an ``aiohttp.ClientError``.
        aiohttp.ClientError, OSError, TimeoutError: the connection failed.
    """
    chunks, size = list[bytes](), 0
    async for chunk in answer.content.iter_any():
        chunks.append(chunk)
        size += len(chunk)
        if size > most:
            raise TooLong(f"more than {most} bytes")
    return b"".join(chunks)
