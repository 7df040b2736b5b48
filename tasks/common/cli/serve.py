"""The command ``serve``."""

from tasks.common.cli.serve_options import ServeOptions
from tasks.common.inference.trained_model import load_model
from tasks.common.web.app import MEGABYTE, build_app
from tasks.common.web.server import open_socket, serve_app
from tasks.common.web.tabs import tabs_of_run


def serve(options: ServeOptions) -> None:
    """Run ``run.py serve RUN [RUN ...]``."""
    with open_socket(options.host, options.port) as listening:  # before the models are loaded, which takes longer
        tabs = [tab for run in options.runs for tab in tabs_of_run(run, load_model(run))]
        serve_app(build_app(tabs, round(options.max_mb * MEGABYTE), options.host), listening)
