"""The platform behind the routes: accounts, tasks, machines, agents."""
