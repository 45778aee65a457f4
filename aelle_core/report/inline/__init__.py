"""The page's main pictures as inline SVG: their points have names, and their colours follow the page's."""
