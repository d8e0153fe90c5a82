"""Mail that breaks rules or stretches them, for equality of a restored message with its source."""

from hypothesis import strategies as st

HTML = b"Content-Type: text/html; charset=utf-8\r\n\r\n<p>h\xc3\xa4</p>\r\n"
PLAIN = b"Content-Type: text/plain\r\n\r\nplain\r\n"
CALENDAR = b"Content-Type: text/calendar; method=REQUEST\r\n\r\nBEGIN:VCALENDAR\r\n"
IMAGE = b"Content-Type: image/png\r\nContent-ID: <pic@x>\r\n\r\npng\r\n"
NAMED = (
    b"Content-Type: text/plain; name=a.txt\r\nContent-Disposition: inline\r\n"
    b"Content-Transfer-Encoding: quoted-printable\r\n\r\n=C3=A4=\r\n=ZZ\r\n"
)


def parts(kind: str, *children: bytes, mark: bytes = b"b") -> bytes:
    """A multipart of the parts; its header is the first line."""
    head = b"Content-Type: multipart/" + kind.encode() + b'; boundary="' + mark + b'"\r\n\r\n'
    line = b"--" + mark + b"\r\n"
    return head + b"".join(line + child for child in children) + b"--" + mark + b"--\r\n"


def nested(inner: bytes, head: bytes = b"") -> bytes:
    """A part that is a message itself."""
    return b"Content-Type: message/rfc822\r\n" + head + b"\r\n" + inner + b"\r\n"


def _deep(levels: int) -> bytes:
    mail = b"Subject: innermost\r\n\r\ndeep\r\n"
    for level in range(levels):
        head = f"Subject: level {level}\r\n".encode()
        mail = head + parts("mixed", PLAIN, nested(mail), mark=f"m{level}".encode())
    return mail


REPORT = (
    b"Content-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx\r\n\r\n"
    b"Final-Recipient: rfc822; a@b\r\nAction: failed\r\nStatus: 5.1.1\r\n\r\n"
)

TABLE: dict[str, bytes] = {
    "empty": b"",
    "only a line end": b"\r\n",
    "NUL and high bytes": b"\xff\xfe\x00\r\n\x00\xff",
    "raw UTF-8 headers": "Subject: größe\r\nFrom: Ü <ü@ö.example>\r\n\r\nä".encode(),
    "raw Latin-1 headers": b"Subject: gr\xfc\xdfe\r\nTo: \xfc <a@b>\r\n\r\n\xe4",
    "folded subject": b"Subject: one\r\n two\r\n\tthree =?utf-8?q?=C3=BC?=\r\n"
    b" =?utf-8?q?=C3=A4?=\r\n\r\nx",
    "broken words": b"Subject: =?utf-8?b?!!!?= =?nope?q?x?= =?utf-8?q?=0AX: y?=\r\n\r\nx",
    "surrogate from a charset": b"Subject: =?unicode_escape?q?=5Cud800?=\r\n"
    b"Content-Type: text/plain; charset=unicode_escape\r\n\r\n\\ud800",
    "charset that is no text": b"Content-Type: text/plain; charset=base64\r\n\r\nYQ==",
    "charset undefined": b"Content-Type: text/plain; charset=undefined\r\n\r\nx",
    "charset unknown": b"Content-Type: text/html; charset=klingon\r\n\r\n<p>\xe4</p>",
    "empty html": b"Content-Type: text/html\r\n\r\n",
    "words for people": b"From: foo\r\nSender: baz\r\nTo: XX, Bob, \"Only Name\" <>, a@b\r\n"
    b"Cc: undisclosed-recipients:;\r\nReply-To: <>\r\n\r\nx",
    "sender beside from": b"From: a@b, c@d\r\nSender: S <s@t>\r\n\r\nx",
    "sender only": b"Sender: S <s@t>\r\n\r\nx",
    "quotes and commas": b'To: "Last, \\"F\\" First" <a@b>, "a,b"@c.d\r\n\r\nx',
    "two subjects": b"Subject: one\r\nSubject: two\r\nTo: a@b\r\nTo: c@d\r\n\r\nx",
    "priorities": b"X-Priority: 1 (Highest)\r\nImportance: odd\r\nDate: never\r\n\r\nx",
    "naive date": b"Date: Mon, 06 May 2024 09:00:00 -0000\r\n\r\nx",
    "date out of range": b"Date: Mon, 06 May 0001 00:00:00 +2300\r\n\r\nx",
    "no boundary": b"Content-Type: multipart/mixed\r\n\r\nno boundary\r\n",
    "boundary never comes": b"Content-Type: multipart/mixed; boundary=q\r\n\r\ntext\r\n",
    "boundary never ends": b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n" + PLAIN,
    "no parts": parts("mixed"),
    "alternative": parts("alternative", PLAIN, HTML),
    "html first": parts("alternative", HTML, PLAIN, CALENDAR),
    "alternative of nothing to show": parts("alternative", CALENDAR, IMAGE),
    "alternative in related": parts(
        "related", parts("alternative", PLAIN, HTML, mark=b"i"), IMAGE, mark=b"o"
    ),
    "related in alternative": parts(
        "alternative", PLAIN, parts("related", HTML, IMAGE, mark=b"i"), mark=b"o"
    ),
    "mixed in alternative": parts(
        "alternative", parts("mixed", PLAIN, NAMED, mark=b"i"),
        parts("mixed", HTML, IMAGE, PLAIN, HTML, mark=b"j"), mark=b"o",
    ),
    "texts in a row": parts("mixed", PLAIN, HTML, PLAIN, NAMED, IMAGE),
    "file before text": parts("mixed", IMAGE, HTML),
    "named text only": NAMED,
    "file only": b"Content-Type: application/pdf\r\nContent-Disposition: attachment\r\n\r\npdf",
    "names": parts(
        "mixed",
        b"Content-Type: a/b\r\nContent-Disposition: attachment; filename*=utf-9''%ff\r\n\r\nx\r\n",
        b"Content-Disposition: attachment; filename=\"gr\xc3\xbc\r\n n.txt\"\r\n\r\nx\r\n",
        b"Content-Disposition: attachment; filename==?utf-8?q?=C3=BC?=\r\n\r\nx\r\n",
        b"Content-Disposition: attachment; filename*0=a; filename*1=b.c\r\n\r\nx\r\n",
        b"Content-Disposition: attachment; filename=../../x\r\n\r\nx\r\n",
    ),
    "encodings": parts(
        "mixed",
        b"Content-Transfer-Encoding: base64\r\n\r\n!!!\r\n",
        b"Content-Type: a/b\r\nContent-Transfer-Encoding: base64\r\n\r\nYW\r\n",
        b"Content-Type: a/b\r\nContent-Transfer-Encoding: x-uuencode\r\n\r\nbegin\r\n",
        b"Content-Type: a/b\r\nContent-Transfer-Encoding: odd\r\n\r\n\xff\r\n",
    ),
    "report": parts("report", PLAIN, REPORT, nested(b"Subject: back\r\n\r\nx")),
    "external body": parts("mixed", b"Content-Type: message/external-body\r\n\r\nA: b\r\n\r\n"),
    "digest": parts("digest", b"\r\nSubject: in\r\n\r\nx\r\n", b"\r\nFrom: foo\r\n\r\ny\r\n"),
    "nested": parts(
        "mixed", PLAIN,
        nested(
            b"From: a@b\r\nSender: c@d\r\nTo: foo\r\nDate: Mon, 06 May 2024 09:00:00 +0200\r\n"
            b"Message-ID: <in@x>\r\nImportance: high\r\n" + parts("mixed", HTML, IMAGE, mark=b"n"),
            b"Content-Disposition: inline\r\nContent-ID: <m@x>\r\n",
        ),
    ),
    "message only": nested(b"Subject: all of it\r\n\r\nx"),
    "nested without a word": nested(b""),
    "nested in base64": b"Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    b"U3ViamVjdDogeA0KDQp5\r\n",
    "nine levels": _deep(9),
    "headers of our own": b"X-A: 1\r\nx-b c: 2\r\nX-: 3\r\nx-a\x00: 4\r\n\r\nx",
}  # fmt: skip

TOO_DEEP = _deep(11)

_CHARACTERS = "abäé<>@\"',;:()=?\\\t \r\n\0\ud83d\x7f.-"
_WORDS = st.one_of(
    st.text(_CHARACTERS, max_size=20).map(lambda t: t.encode("utf-8", "surrogatepass")),
    st.binary(max_size=12),
    st.sampled_from([
        b"=?utf-8?q?=C3=BC?=", b"=?iso-8859-1?b?/A==?=", b"foo", b"A <a@b.c>", b"Foo: a@b, c;",
        b"\r\n folded", b"Mon, 06 May 2024 09:00:00 +0200", b"high", b"inline", b"attachment; ",
        b"filename=x.txt", b"name=y", b"<id@x>", b"charset=utf-16", b"base64",
    ]),
)  # fmt: skip
_NAMES = st.sampled_from([
    b"Subject", b"From", b"Sender", b"To", b"Cc", b"Bcc", b"Reply-To", b"Date", b"Received",
    b"Importance", b"X-Priority", b"Message-ID", b"Content-ID", b"Content-Disposition",
    b"Content-Transfer-Encoding", b"Content-Type", b"x-own",
])  # fmt: skip
_HEADERS = st.lists(st.tuples(_NAMES, st.lists(_WORDS, max_size=3)), max_size=4).map(
    lambda found: b"".join(name + b": " + b" ".join(words) + b"\r\n" for name, words in found)
)
_TYPES = st.sampled_from([
    b"text/plain", b"text/html; charset=utf-8", b"text/html; charset=latin-1", b"text/enriched",
    b"image/png; name=x.png", b"application/pdf", b"message/rfc822", b"message/delivery-status",
    b"multipart/mixed", b"TEXT/PLAIN; format=flowed", b"odd", b"a/b/c",
])  # fmt: skip
_LEAVES = st.builds(
    lambda kind, head, body: b"Content-Type: " + kind + b"\r\n" + head + b"\r\n" + body + b"\r\n",
    _TYPES, _HEADERS, _WORDS,
)  # fmt: skip


def _wrapped(inner: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    kinds = st.sampled_from(["mixed", "alternative", "related", "report", "digest", "odd"])
    marks = st.sampled_from([b"b", b"c", b"d", b"e"])
    several = st.builds(
        lambda kind, children, mark: parts(kind, *children, mark=mark),
        kinds, st.lists(inner, max_size=4), marks,
    )  # fmt: skip
    return st.one_of(several, st.builds(lambda head, one: nested(head + one), _HEADERS, inner))


ODD = st.builds(
    lambda head, body: head + body, _HEADERS, st.recursive(_LEAVES, _wrapped, max_leaves=8)
)
"""Whole messages: odd headers above parts inside parts."""
