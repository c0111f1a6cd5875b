"""jobs/checks"""
