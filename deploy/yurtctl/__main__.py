"""`python -m deploy.yurtctl`, installed as `.venv/bin/yurtctl`."""

from deploy.yurtctl.program import yurtctl

yurtctl(prog_name="yurtctl")
