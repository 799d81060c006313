"""What people look at: leaderboard, site, listening pages, curves."""
