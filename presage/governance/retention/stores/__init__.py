"""What each store can be asked for and told to remove: one module a store, each an items.Store."""
