"""Run directories: their record, and how a command treats an existing one."""
