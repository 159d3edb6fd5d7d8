"""Builds the one wheel: whit, whit_exporter, the C library (by `make lib`), and the runtime's sources."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from setuptools import Distribution, find_namespace_packages, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_py import build_py

HERE = Path(__file__).resolve().parent
ROOTS = {"whit": "python_bindings", "whit_exporter": "exporter"}


class BuildPy(build_py):
    """Compiles the library into the package before its files are collected."""

    def run(self) -> None:
        make = os.environ.get("MAKE", "make")
        if shutil.which(make) is None:
            sys.exit("whit: building needs make and a C compiler: apt install make gcc libc6-dev")
        subprocess.run([make, "-C", str(HERE), "lib", f"PYTHON={sys.executable}"], check=True)
        if not self.editable_mode:  # what an earlier build left there would go into the wheel
            shutil.rmtree(self.build_lib, ignore_errors=True)
        super().run()
        if not self.editable_mode:
            for folder in ("runtime_c", "android"):  # what whit build compiles
                target = Path(self.build_lib, "whit", folder)
                shutil.rmtree(target, ignore_errors=True)
                shutil.copytree(
                    HERE / folder, target, ignore=shutil.ignore_patterns("__pycache__", "sample")
                )


class BdistWheel(bdist_wheel):
    """The library does not depend on the version of Python, only on the machine."""

    def get_tag(self) -> tuple[str, str, str]:
        return "py3", "none", super().get_tag()[2]


class BinaryDistribution(Distribution):
    def has_ext_modules(self) -> bool:
        return True


packages = [
    package
    for name, root in ROOTS.items()
    for package in find_namespace_packages(root, include=[name, f"{name}.*"])
]
setup(
    packages=packages,
    package_dir={
        package: f"{ROOTS[package.partition('.')[0]]}/{package.replace('.', '/')}"
        for package in packages
    },
    package_data={
        "whit": ["*.so", "*.dylib", "_ops.json", "py.typed"],
        "whit_exporter": ["_ops.json", "py.typed"],
    },
    cmdclass={"build_py": BuildPy, "bdist_wheel": BdistWheel},
    distclass=BinaryDistribution,
)
