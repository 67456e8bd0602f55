"""Protobuf on the wire, without any of the project's code: so tests can be wrong on their own."""


def varint(value):
    out = b""
    while value > 0x7f:
        out += bytes([value & 0x7f | 0x80])
        value >>= 7
    return out + bytes([value])


def number(field, value):
    return varint(field << 3) + varint(value)


def data(field, content):
    content = content.encode() if isinstance(content, str) else content
    return varint(field << 3 | 2) + varint(len(content)) + content


def fields(data):
    """A protobuf message: {field: [value, …]}, values int or bytes."""
    found, at = {}, 0

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 0x7f) << shift
            shift += 7
            if byte < 0x80:
                return value
    while at < len(data):
        key = varint()
        value = varint()
        if key & 7 == 2:
            value, at = data[at:at + value], at + value
        else:
            assert key & 7 == 0, f"wire type {key & 7}"
        found.setdefault(key >> 3, []).append(value)
    return found


def replaced(message, path, content):
    """The message with other bytes in the field of that path, all lengths around it made right."""
    first, *rest = path
    out = b""
    for field, values in fields(message).items():
        for value in values:
            if field == first:
                value = replaced(value, rest, content) if rest else content
            out += data(field, value) if isinstance(value, bytes) else number(field, value)
    return out


def latest(message):
    """{field: value}, the last of each."""
    return {field: values[-1] for field, values in fields(message).items()}
