"""Reads kinds.yaml and looks at documents with it."""
import yaml


def is_number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool)


PLAIN = {
    "text": lambda v: isinstance(v, str),
    "number": is_number,
    "flag": lambda v: isinstance(v, bool),
    "texts": lambda v: isinstance(v, list) and all(isinstance(x, str) for x in v),
    "map": lambda v: isinstance(v, dict) and all(isinstance(x, str) for x in v.values()),
    "quantities": lambda v: isinstance(v, dict) and all(isinstance(x, str) or is_number(x) for x in v.values()),
    "port": lambda v: isinstance(v, (str, int)) and not isinstance(v, bool),
    "any": lambda v: True,
}


class Kinds:
    def __init__(self, path):
        text = yaml.safe_load(path.read_text())
        self.roots, self.types = text["roots"], text["types"]

    def findings(self, document):
        what = f"{document.get('apiVersion')}/{document.get('kind')}"
        if what not in self.roots:
            return [f"{what} is in no list (kinds.yaml)"]
        rest = {k: v for k, v in document.items() if k not in ("apiVersion", "kind")}
        return list(self._fields(rest, self.roots[what], f"{document['kind']}/{document['metadata']['name']}"))

    def _fields(self, value, fields, path):
        if not isinstance(value, dict):
            yield f"{path}: not a map"
            return
        known = {name.rstrip("!"): kind for name, kind in fields.items()}
        for name in fields:
            if name.endswith("!") and value.get(name.rstrip("!")) in (None, [], ""):
                yield f"{path}.{name.rstrip('!')} is missing"
        for name, inner in value.items():
            if name not in known:
                yield f"{path}.{name}: no such field"
            else:
                yield from self._value(inner, known[name], f"{path}.{name}")

    def _value(self, value, kind, path):
        if isinstance(kind, list):
            if not isinstance(value, list):
                yield f"{path}: not a list"
                return
            for i, one in enumerate(value):
                yield from self._value(one, kind[0], f"{path}[{i}]")
        elif kind in PLAIN:
            if not PLAIN[kind](value):
                yield f"{path}: {value!r} is no {kind}"
        else:
            yield from self._fields(value, self.types[kind], path)
