"""The routes: they await and answer, all else is done by the rooms below."""
