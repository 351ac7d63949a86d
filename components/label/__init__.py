"""Step 4: what a row would have had to say: incident active now, or starting within the horizon."""
