"""House rules on code that no ready-made linter has: filters, printing, purity, imports."""

import ast
import sys
from collections.abc import Iterator

from tests.house.conftest import Source

PRINTING_PLACES = ("local", "bench", "tests")
# rules and model: pure decisions and their values (architecture, section 2).
PURE_OUTSIDE = {"pydantic", "pydantic_core", "annotated_types", "msgspec", "orjson"}
PURE_KIT = {f"shared.kit.{name}" for name in ("api_model", "clock", "errors", "ids", "operations")}
# Technical packages, whose modules of these names are no rooms of a noun.
FREE_OF_ROOMS = ("shared.kit", "shared.vault")
IMPURE_STANDARD = {
    *("asyncio", "concurrent", "http", "io", "multiprocessing", "os", "random", "secrets"),
    *("shutil", "socket", "sqlite3", "ssl", "subprocess", "tempfile", "threading", "time"),
    "urllib.request",
}
FORMAT_OUTSIDE = {"cryptography", "zstandard"}
# Names that make a replay differ from the first run (docs/durable-rules.md, rule 1).
UNREPEATABLE = {
    *("datetime.now", "datetime.utcnow", "datetime.today", "date.today", "time.time"),
    *("time.sleep", "time.monotonic", "time.perf_counter", "os.environ", "os.getenv"),
    *("os.urandom", "asyncio.sleep", "settings", "deps", "new_id", "open", "print", "input"),
    *("SystemClock", "uuid1", "uuid4", "token_hex", "token_bytes", "token_urlsafe"),
}
UNREPEATABLE_MODULES = {"uuid", "random", "secrets", "time", "os", "socket", "requests", "httpx"}
UNREPEATABLE_METHODS = {"now", "utcnow", "today"}


def imported(tree: ast.AST) -> Iterator[str]:
    """Full names of the modules imported anywhere, type-checking blocks left out."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "imports are absolute"
            yield node.module or ""
        yield from imported(node)


def is_standard(module: str) -> bool:
    return module.split(".")[0] in sys.stdlib_module_names


def dotted(node: ast.expr) -> str:
    return ast.unparse(node) if isinstance(node, ast.Attribute | ast.Name) else ""


def test_nothing_deployed_prints(app: list[Source]) -> None:
    found = [
        f"{source.name}:{node.lineno}"
        for source in app
        if not source.within(*PRINTING_PLACES)
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Call) and dotted(node.func) in ("print", "sys.stdout.write")
    ]
    assert found == []


def test_no_table_filter_is_formatted(app: list[Source]) -> None:
    """A value enters a filter as a parameter (`@name`), never as text: style.md, CIPP row 16."""
    found = [
        f"{source.name}:{node.lineno}"
        for source in app
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Call) and any(map(is_formatted, filters(node)))
    ]
    assert found == []


def filters(call: ast.Call) -> Iterator[ast.expr]:
    """Arguments of a call that can be a table filter."""
    for keyword in call.keywords:
        if keyword.arg in ("query_filter", "filter", "filters", "where"):
            yield keyword.value
    if dotted(call.func).rpartition(".")[2] in ("query", "query_entities"):
        yield from call.args


def is_formatted(value: ast.expr) -> bool:
    """Whether text is built here that has a comparison in it."""
    built = (
        isinstance(value, ast.JoinedStr)
        or (isinstance(value, ast.BinOp) and isinstance(value.op, ast.Add | ast.Mod))
        or (isinstance(value, ast.Call) and dotted(value.func).endswith(".format"))
    )
    return built and any(
        f" {word} " in ast.unparse(value) for word in ("eq", "ne", "lt", "le", "gt", "ge")
    )


def test_rules_and_models_are_pure(app: list[Source]) -> None:
    """They import the standard library without I/O, plain value libraries, and pure modules."""
    by_module = {
        source.name.removesuffix(".py").removesuffix("/__init__").replace("/", "."): source
        for source in app
    }
    pure_rooms = [
        module
        for module in by_module
        if module.startswith("shared.")
        and module.rpartition(".")[2] in ("rules", "model")
        and not module.startswith(FREE_OF_ROOMS)
    ]
    seen: set[str] = set()
    found = []
    while pure_rooms:
        module = pure_rooms.pop()
        if module in seen:
            continue
        seen.add(module)
        for needed in imported(by_module[module].tree):
            if needed in PURE_KIT or needed.split(".")[0] in PURE_OUTSIDE:
                continue
            if needed in by_module and not needed.endswith(("repository", "service")):
                pure_rooms.append(needed)  # what a pure module uses must be pure itself
            elif not is_standard(needed) or {needed, needed.split(".")[0]} & IMPURE_STANDARD:
                found.append(f"{module}: {needed}")
    assert sorted(found) == []


def test_the_vault_format_needs_nothing_of_ours(app: list[Source]) -> None:
    """An independent reader can be built from it: vault.md, V3."""
    found = [
        f"{source.name}: {module}"
        for source in app
        if source.within("shared/vault/format")
        for module in imported(source.tree)
        if not is_standard(module)
        and not module.startswith("shared.vault.format")
        and module.split(".")[0] not in FORMAT_OUTSIDE
    ]
    assert found == []


def orchestrators(tree: ast.Module) -> Iterator[ast.FunctionDef]:
    """Functions marked as orchestrators, and every plain generator beside them."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.FunctionDef):
            continue
        marked = any("orchestration_trigger" in ast.unparse(d) for d in node.decorator_list)
        yields = any(isinstance(inner, ast.Yield | ast.YieldFrom) for inner in ast.walk(node))
        if marked or yields:
            yield node


def unrepeatable(function: ast.FunctionDef) -> Iterator[str]:
    for node in ast.walk(function):
        if not isinstance(node, ast.Attribute | ast.Name):
            continue
        name = dotted(node)
        first, dot, rest = name.partition(".")
        from_outside = first in UNREPEATABLE_MODULES and dot
        a_clock = rest.rpartition(".")[2] in UNREPEATABLE_METHODS
        if name in UNREPEATABLE or from_outside or a_clock:
            yield f"{function.name}, line {node.lineno}: {name}"


def test_orchestrators_can_be_replayed(app: list[Source]) -> None:
    found = [
        f"{source.name}: {what}"
        for source in app
        if source.within("orchestrations")
        for function in orchestrators(source.tree)
        for what in unrepeatable(function)
    ]
    assert found == []


def test_the_replay_rule_sees_what_it_should() -> None:
    bad = ast.parse(
        "@bp.orchestration_trigger(context_name='ctx')\n"
        "def process(ctx, given):\n"
        "    started = datetime.now(UTC)\n"
        "    name = uuid.uuid4()\n"
        "    yield ctx.call_activity('x', input=os.environ['A'])\n"
    )
    good = ast.parse(
        "def process(ctx, given):\n"
        "    started = ctx.current_utc_datetime\n"
        "    yield ctx.call_activity('x', input=1)\n"
    )
    (wrong,), (right,) = orchestrators(bad), orchestrators(good)
    assert {line.rpartition(": ")[2] for line in unrepeatable(wrong)} >= {
        "datetime.now",
        "uuid.uuid4",
        "os.environ",
    }
    assert list(unrepeatable(right)) == []
