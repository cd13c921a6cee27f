"""A folder that detects in a browser: the LiteRT file, a page, a script, and LiteRT.js.

The page asks a content network for the runtime, of a pinned version, or has a copy beside itself;
then nothing of it needs the net, and the model runs in threads where a server isolates the page
(`edet serve_web`).
"""

from __future__ import annotations

import html
import importlib.resources
import json
import os
import string
from collections.abc import Iterable

import keras
import numpy as np
import tensorflow as tf

from edet.config.schema import Config
from edet.errors import UserError
from edet.export.litert import check_litert, export_litert
from edet.files import content_of, read_text, reason, write_bytes

MODEL = "model.tflite"
RUNTIME = "2.5.3"  # of @litertjs/core and the @litertjs/wasm-utils that it is released with
_NETWORK = "https://cdn.jsdelivr.net/npm"
_MODULES = {"@litertjs/core": "dist/index.js", "@litertjs/wasm-utils": "dist/index.js"}
_BESIDE = "litert"  # the folder of a copy


def export_web(
    network: keras.Model, config: Config, folder: str, pixels: Iterable[np.ndarray] = ()
) -> str:
    """Writes index.html, detect.js, model.tflite and model.json, and perhaps the runtime.

    Args:
      network: from `build_network(config.model)`.
      config: `export.litert_js` is the runtime, a folder of node_modules; "" for the content
        network. `detect.draw_threshold` is where the page begins.
      folder: to write to; gs:// works.
      pixels: as of `export_litert`.

    Returns:
      The folder. index.html is written last.

    Raises:
      UserError: as `export_litert`, or the runtime is not where it is said to be, or of another
        version.
    """
    check_web(config, folder)
    runtime = _files_of_runtime(config.export.litert_js) if config.export.litert_js else {}
    try:
        tf.io.gfile.makedirs(folder)
    except (OSError, tf.errors.OpError) as error:
        raise UserError(f"cannot write the folder {folder}: {reason(error)}") from error
    export_litert(network, config, os.path.join(folder, MODEL), pixels)
    for name, content in runtime.items():
        write_bytes(os.path.join(folder, _BESIDE, name), content)
    page = importlib.resources.files("edet.export") / "page"
    write_bytes(os.path.join(folder, "detect.js"), (page / "detect.js").read_bytes())
    text = (page / "index.html").read_text("utf-8")
    write_bytes(os.path.join(folder, "index.html"), _filled(text, config).encode())
    return folder


def check_web(config: Config, folder: str) -> None:
    """Refuses what `export_web` would, but for the runtime."""
    if not config.model.detects:
        raise UserError("export.format=web draws boxes, and model.heads has no detection.")
    for name, sign in (("index.html", "detect.js"), ("detect.js", "edet")):
        path = os.path.join(folder, name)
        if tf.io.gfile.exists(path) and sign not in read_text(path, "the page"):
            raise UserError(f"{path} is not of edet and would be replaced; name another --output.")
    check_litert(config, os.path.join(folder, MODEL))


def _filled(page: str, config: Config) -> str:
    """Returns the page with the title, the threshold and the places of the runtime."""
    is_local = bool(config.export.litert_js)
    at = {
        name: f"./{_BESIDE}/{name}" if is_local else f"{_NETWORK}/{name}@{RUNTIME}"
        for name in _MODULES
    }
    settings = {"local": is_local, "wasm": at["@litertjs/core"] + "/wasm/"}
    imports = {name: f"{at[name]}/{file}" for name, file in _MODULES.items()}
    return string.Template(page).substitute(
        title=html.escape(config.model.name),
        threshold=config.detect.draw_threshold,
        settings=json.dumps(settings),
        imports=json.dumps({"imports": imports}),
    )


def _files_of_runtime(node_modules: str) -> dict[str, bytes]:
    """Returns {path below node_modules: content} of what the page loads.

    Raises:
      UserError: a package is not there, or has another version than the page was tested with.
    """
    files: dict[str, bytes] = {}
    install = f"npm install @litertjs/core@{RUNTIME}"
    try:
        for name, file in _MODULES.items():
            package = json.loads(content_of(os.path.join(node_modules, name, "package.json")))
            if package["version"] != RUNTIME:
                raise UserError(
                    f"export.litert_js={node_modules} has {name} {package['version']}, and the "
                    f"page is made for {RUNTIME}: {install}"
                )
            files[f"{name}/{file}"] = content_of(os.path.join(node_modules, name, file))
        wasm = os.path.join(node_modules, "@litertjs/core", "wasm")
        for file in tf.io.gfile.listdir(wasm):
            files[f"@litertjs/core/wasm/{file}"] = content_of(os.path.join(wasm, file))
    except (OSError, ValueError, KeyError, tf.errors.OpError) as error:
        raise UserError(
            f"export.litert_js={node_modules} is no node_modules with LiteRT.js ({reason(error)}); "
            f"make one: {install}"
        ) from error
    return files
