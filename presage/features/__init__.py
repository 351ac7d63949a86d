"""Features: declared once as data, computed by engines that agree, kept in an online store."""
