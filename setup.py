"""What pyproject.toml cannot say: a wheel takes the experiments along, as edet/configs."""

import os
import shutil

from setuptools import setup
from setuptools.command.build_py import build_py


class BuildWithConfigs(build_py):
    """Copies configs/, which lies beside edet/ in the repository, into the package."""

    def run(self):
        super().run()
        if not self.editable_mode:
            to = os.path.join(self.build_lib, "edet", "configs")
            shutil.copytree("configs", to, dirs_exist_ok=True)


setup(cmdclass={"build_py": BuildWithConfigs})
