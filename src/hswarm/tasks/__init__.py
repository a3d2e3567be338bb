"""Tasks: data of the field's formats, named tasks and generators, declared by `@task` where they are defined."""

from hswarm.tasks.load import load_task as load_task
from hswarm.tasks.settings import TaskSettings as TaskSettings
