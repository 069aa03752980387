"""A strict subset of IEC 61131-3 Structured Text: parser, type check and scan-by-scan execution of a function block.

Types: BOOL, INT, UINT, UDINT, WORD, one-dimensional arrays of them. Statements: assignment, IF, FOR. What the subset
does not know is an error, as are an undeclared name, a keyword as a name, an assignment between types, a number outside
of its type, arithmetic on WORD and bit operators on integers. Unsigned arithmetic rolls over as on every controller.
"""

import re
from collections.abc import Callable
from typing import Any

RANGES = {"BOOL": 1, "INT": 2**15 - 1, "UINT": 2**16 - 1, "UDINT": 2**32 - 1, "WORD": 2**16 - 1}
INTEGERS = {"INT", "UINT", "UDINT"}
KEYWORDS = set(
    re.findall(
        r"\w+",
        """
        ACTION AND ANY ARRAY AT BOOL BY BYTE CASE CONFIGURATION CONSTANT DATE DINT DO DWORD ELSE ELSIF END_CASE END_FOR
        END_FUNCTION END_FUNCTION_BLOCK END_IF END_PROGRAM END_REPEAT END_STRUCT END_TYPE END_VAR END_WHILE EXIT F_EDGE
        FALSE FOR FROM FUNCTION FUNCTION_BLOCK IF INITIAL_STEP INT LINT LREAL LWORD MOD NOT OF ON OR PROGRAM R_EDGE
        READ_ONLY READ_WRITE REAL REPEAT RESOURCE RETAIN RETURN SINT STEP STRING STRUCT TASK THEN TIME TO TON TRANSITION
        TRUE TYPE UDINT UINT ULINT UNTIL USINT VAR VAR_ACCESS VAR_CONFIG VAR_EXTERNAL VAR_GLOBAL VAR_INPUT VAR_IN_OUT
        VAR_OUTPUT VAR_TEMP WHILE WITH WORD XOR R_TRIG F_TRIG TOF TP CTU CTD SR RS""",
    )
)
CONVERSION = re.compile(r"(INT|UINT|UDINT|WORD)_TO_(INT|UINT|UDINT|WORD)$")
TOKEN = re.compile(
    r"\s*(?:(\(\*.*?\*\))|(16#[0-9A-F]+|\d+)|([A-Za-z_]\w*)|(:=|<>|<=|>=|\.\.|[-+*/=<>()\[\];:,]))", re.DOTALL
)

Scope = dict[str, Any]
Run = Callable[[Scope], Any]
Typed = tuple[str, Run]
"""Type of an expression, and what computes it; the type "number" is that of a plain literal."""


class StructuredTextError(Exception):
    """The text is not of the subset."""


class FunctionBlock:
    """A function block with its variables; `call` runs one scan."""

    def __init__(self, text: str) -> None:
        """Parse and check `text`."""
        self._tokens = self._split(text)
        self._at = 0
        self.types: dict[str, str] = {}
        self.bounds: dict[str, tuple[int, int]] = {}
        self.constants: set[str] = set()
        self.retained: set[str] = set()
        self.scope: Scope = {}
        self._expect("FUNCTION_BLOCK")
        self.name = self._take()
        while self._peek().startswith("VAR"):
            self._declare()
        self._body = self._statements({"END_FUNCTION_BLOCK"})
        self._expect("END_FUNCTION_BLOCK")
        if self._peek():
            raise StructuredTextError(f"found {self._peek()!r} after the end")

    def call(self, **inputs: Any) -> None:
        """Set inputs and run one scan."""
        for name, value in inputs.items():
            self.scope[name] = value
        self._body(self.scope)

    def restart(self) -> None:
        """Lose every variable but the retained ones and the constants, as by a power cut."""
        for name, kind in self.types.items():
            if name not in self.retained | self.constants:
                self.scope[name] = self._initial(name, kind)

    def _initial(self, name: str, kind: str) -> Any:
        if name in self.bounds:
            low, high = self.bounds[name]
            return dict.fromkeys(range(low, high + 1), kind == "BOOL" and False)
        return False if kind == "BOOL" else 0

    @staticmethod
    def _split(text: str) -> list[str]:
        tokens, at = [], 0
        text = text.rstrip()
        while at < len(text):
            match = TOKEN.match(text, at)
            if match is None:
                raise StructuredTextError(f"found {text[at : at + 20]!r}")
            at = match.end()
            if match.group(1) is None:
                tokens.append(match.group(0).strip())
        return tokens

    def _peek(self) -> str:
        return self._tokens[self._at] if self._at < len(self._tokens) else ""

    def _take(self) -> str:
        self._at += 1
        return self._tokens[self._at - 1]

    def _expect(self, token: str) -> None:
        found = self._take()
        if found != token:
            context = " ".join(self._tokens[max(0, self._at - 8) : self._at + 3])
            raise StructuredTextError(f"found {found!r}, expected {token!r} in: {context}")

    def _declare(self) -> None:
        self._take()
        kept = self._peek() if self._peek() in ("CONSTANT", "RETAIN") else ""
        self._at += bool(kept)
        while self._peek() != "END_VAR":
            name = self._take()
            if name.upper() in KEYWORDS or name.upper() in (one.upper() for one in self.types) or not name[0].isalpha():
                raise StructuredTextError(f"{name} is a keyword or declared twice")
            self._expect(":")
            kind = self._take()
            if kind == "ARRAY":
                self._expect("[")
                low = int(self._take())
                self._expect("..")
                self.bounds[name] = (low, int(self._take()))
                self._expect("]")
                self._expect("OF")
                kind = self._take()
            if kind not in RANGES:
                raise StructuredTextError(f"{name} has the type {kind}")
            self.types[name] = kind
            self.scope[name] = self._initial(name, kind)
            if self._peek() == ":=":
                self._take()
                self.scope[name] = self._fit(kind, self._literal(self._take()), name)
            self._expect(";")
            self.constants |= {name} if kept == "CONSTANT" else set()
            self.retained |= {name} if kept == "RETAIN" else set()
        self._expect("END_VAR")

    @staticmethod
    def _literal(token: str) -> Any:
        if token in ("TRUE", "FALSE"):
            return token == "TRUE"
        return int(token[3:], 16) if token.startswith("16#") else int(token)

    @staticmethod
    def _fit(kind: str, value: Any, name: str) -> Any:
        if isinstance(value, bool) is not (kind == "BOOL") or not 0 <= value <= RANGES[kind]:
            raise StructuredTextError(f"{value} does not fit {name}: {kind}")
        return value

    def _statements(self, ends: set[str]) -> Run:
        steps: list[Run] = []
        while self._peek() not in ends:
            steps.append(self._statement())

        def run(scope: Scope) -> None:
            for step in steps:
                step(scope)

        return run

    def _statement(self) -> Run:
        token = self._peek()
        if token == "IF":
            return self._if()
        if token == "FOR":
            return self._for()
        return self._assignment()

    def _if(self) -> Run:
        arms: list[tuple[Run, Run]] = []
        while self._take() in ("IF", "ELSIF"):
            condition = self._as("BOOL", self._expression())
            self._expect("THEN")
            arms.append((condition, self._statements({"ELSIF", "ELSE", "END_IF"})))
            if self._peek() not in ("ELSIF",):
                break
        otherwise: Run = lambda scope: None  # noqa: E731
        if self._peek() == "ELSE":
            self._take()
            otherwise = self._statements({"END_IF"})
        self._expect("END_IF")
        self._expect(";")

        def run(scope: Scope) -> None:
            for condition, body in arms:
                if condition(scope):
                    body(scope)
                    return
            otherwise(scope)

        return run

    def _for(self) -> Run:
        self._take()
        name = self._take()
        if self.types.get(name) != "INT":
            raise StructuredTextError(f"FOR counts {name}, expected a declared INT")
        self._expect(":=")
        first = self._as("INT", self._expression())
        self._expect("TO")
        last = self._as("INT", self._expression())
        self._expect("DO")
        body = self._statements({"END_FOR"})
        self._expect("END_FOR")
        self._expect(";")

        def run(scope: Scope) -> None:
            for value in range(first(scope), last(scope) + 1):
                scope[name] = value
                body(scope)

        return run

    def _assignment(self) -> Run:
        name = self._take()
        if name not in self.types or name in self.constants:
            raise StructuredTextError(f"{name} is assigned to, expected a declared variable")
        index = self._index(name)
        self._expect(":=")
        value = self._as(self.types[name], self._expression())
        self._expect(";")

        def run(scope: Scope) -> None:
            if index is None:
                scope[name] = value(scope)
            else:
                scope[name][self._within(name, index(scope))] = value(scope)

        return run

    def _index(self, name: str) -> Run | None:
        if name not in self.bounds:
            return None
        self._expect("[")
        index = self._as("INT", self._expression())
        self._expect("]")
        return index

    def _within(self, name: str, index: int) -> int:
        low, high = self.bounds[name]
        if not low <= index <= high:
            raise StructuredTextError(f"{name}[{index}], expected {low} to {high}")
        return index

    def _as(self, kind: str, typed: Typed) -> Run:
        found, run = typed
        if found != kind and not (found == "number" and kind in INTEGERS):
            context = " ".join(self._tokens[max(0, self._at - 12) : self._at + 1])
            raise StructuredTextError(f"found {found}, expected {kind} in: {context}")
        return run

    # Expressions, from the weakest operator to the strongest: OR, XOR, AND, comparison, + -, * / MOD, NOT

    def _expression(self) -> Typed:
        return self._logic(("OR",), lambda: self._logic(("XOR",), lambda: self._logic(("AND",), self._comparison)))

    def _logic(self, operators: tuple[str, ...], inner: Callable[[], Typed]) -> Typed:
        kind, run = inner()
        while self._peek() in operators:
            operator = self._take()
            other, right = inner()
            if kind != other or kind not in ("BOOL", "WORD"):
                raise StructuredTextError(f"{kind} {operator} {other}, expected BOOL or WORD on both sides")
            run = self._joined(operator, run, right)
        return kind, run

    @staticmethod
    def _joined(operator: str, left: Run, right: Run) -> Run:
        if operator == "AND":
            return lambda scope: left(scope) & right(scope)
        if operator == "OR":
            return lambda scope: left(scope) | right(scope)
        return lambda scope: left(scope) ^ right(scope)

    def _comparison(self) -> Typed:
        kind, run = self._sum()
        if self._peek() not in ("=", "<>", "<", ">", "<=", ">="):
            return kind, run
        operator = self._take()
        other, right = self._sum()
        if (kind != other and not {kind, other} <= INTEGERS | {"number"}) or (
            kind != other and "number" not in (kind, other)
        ):
            raise StructuredTextError(f"{kind} {operator} {other}")
        if operator in ("=", "<>"):
            return "BOOL", (lambda s: run(s) == right(s)) if operator == "=" else (lambda s: run(s) != right(s))
        if kind in ("BOOL", "WORD"):
            raise StructuredTextError(f"{kind} {operator} {other}, expected integers")
        compare: dict[str, Run] = {
            "<": lambda s: run(s) < right(s),
            ">": lambda s: run(s) > right(s),
            "<=": lambda s: run(s) <= right(s),
            ">=": lambda s: run(s) >= right(s),
        }
        return "BOOL", compare[operator]

    def _sum(self) -> Typed:
        return self._arithmetic(("+", "-"), lambda: self._arithmetic(("*", "/", "MOD"), self._factor))

    def _arithmetic(self, operators: tuple[str, ...], inner: Callable[[], Typed]) -> Typed:
        kind, run = inner()
        while self._peek() in operators:
            operator = self._take()
            other, right = inner()
            joint = other if kind == "number" else kind
            if not {kind, other} <= {joint, "number"} or joint not in INTEGERS | {"number"}:
                raise StructuredTextError(f"{kind} {operator} {other}, expected integers of one type")
            kind, run = joint, self._computed(operator, run, right, joint)
        return kind, run

    @staticmethod
    def _computed(operator: str, left: Run, right: Run, kind: str) -> Run:
        def run(scope: Scope) -> int:
            a, b = left(scope), right(scope)
            value = {"+": a + b, "-": a - b, "*": a * b}.get(operator)
            if value is None:
                value = a // b if operator == "/" else a % b
            return int(value % (RANGES[kind] + 1)) if kind in ("UINT", "UDINT") else int(value)

        return run

    def _factor(self) -> Typed:
        token = self._take()
        if token == "NOT":
            inner = self._as("BOOL", self._factor())
            return "BOOL", lambda scope: not inner(scope)
        if token == "(":
            typed = self._expression()
            self._expect(")")
            return typed
        if token in ("TRUE", "FALSE"):
            return "BOOL", lambda scope: token == "TRUE"
        if token[0].isdigit():
            value = self._literal(token)
            return ("WORD" if token.startswith("16#") else "number"), lambda scope: value
        if match := CONVERSION.match(token):
            self._expect("(")
            inner = self._as(match.group(1), self._expression())
            self._expect(")")
            most = RANGES[match.group(2)]
            return match.group(2), lambda scope: inner(scope) % (most + 1)
        if token not in self.types:
            raise StructuredTextError(f"{token} is not declared")
        index = self._index(token)
        if index is None:
            return self.types[token], lambda scope: scope[token]
        return self.types[token], lambda scope: scope[token][self._within(token, index(scope))]
