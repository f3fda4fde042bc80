"""inbox-observer: reads what clients publish, applies policies, stores it, and republishes it to inboxes."""
