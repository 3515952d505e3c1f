"""Who proposes the parameters of a trial and hears its scores, one engine a file."""
