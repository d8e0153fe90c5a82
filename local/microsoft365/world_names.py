"""Names of people, folders and files: plain, unicode and hostile ones."""

import random
import unicodedata

DOMAINS = ("nordwind", "seeblick", "talgrund", "bergfeld", "auental", "lindenhof")
GIVEN = (
    "Anna", "Björn", "Chloé", "Dmitri", "Emre", "Fatima", "Grace", "Hiroshi", "Ingrid", "José",
    "Katarzyna", "Liam", "Mei", "Noah", "Olga", "Priya", "Quentin", "Rosa", "Søren", "Tomáš",
    "Uwe", "Valentina", "Wei", "Xenia", "Yusuf", "Zoë",
)  # fmt: skip
FAMILY = (
    "Adler", "Brandt", "Costa", "D'Angelo", "Eriksen", "Fischer", "García", "Huang", "Ivanova",
    "Jansen", "Kowalski", "Lefèvre", "Müller", "Nakamura", "O'Brien", "Petrov", "Quast", "Rossi",
    "Schröder", "Tanaka", "Ünal", "Vogel", "Weiß", "Yılmaz", "Zieliński",
)  # fmt: skip
DEPARTMENTS = ("Sales", "Finance", "Production", "Engineering", "Legal", "Support")
MAIL_FOLDERS = (
    "Inbox", "Sent Items", "Drafts", "Deleted Items", "Archive", "Inbox/Projekte",
    "Inbox/Projekte/2026 – Größe & Maße", "Kunden", "Kunden/日本", "Kunden/a b%2Fc",
    "Rechnungen/🧾 offen", "Newsletters",
)  # fmt: skip
FOLDER_NAMES = (
    "", "Documents", "Documents/Verträge", "Documents/Verträge/2026", "Pictures", "Pictures/夏休み",
    "Projects/Alpha", "Projects/Alpha/Drafts", "Projects/Beta (old)", "100% fertig", "a & b + c",
    "#hash", "it's", "Ordner mit sehr langem Namen der trotzdem gültig ist und viele Zeichen hat",
    "NFD-" + unicodedata.normalize("NFD", "Überzug"), "🗂 Ablage", ".hidden", "semi;colon",
)  # fmt: skip
FILE_NAMES = (
    "report.docx", "Budget.xlsx", "notes.txt", "Straße.pdf", "фото.jpg", "資料.pptx", "data.csv",
    "100%.txt", "a+b=c.md", "#tag.txt", "it's.docx", "tab'le;.csv", "emoji 🎉.png", "UPPER.TXT",
    "script.py", "~temp.bin", "no ending.", "dot..dot.txt", "comma,name.txt", "at@sign.txt",
)  # fmt: skip


def person(chance: random.Random, index: int) -> tuple[str, str]:
    """Return (display name, local part of the address) of a person; the index keeps it unique."""
    given, family = chance.choice(GIVEN), chance.choice(FAMILY)
    plain = unicodedata.normalize("NFKD", f"{given}.{family}".replace("ß", "ss").replace("ı", "i"))
    local = "".join(c for c in plain.lower() if c.isascii() and (c.isalnum() or c == "."))
    return f"{given} {family}", local if index == 0 else f"{local}{index}"
