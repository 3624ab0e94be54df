"""Write the page and its pictures; remove pictures that no class has any more."""

from tools.features_page.page import PAGE, PICTURES, page, pictures

if __name__ == "__main__":
    PICTURES.mkdir(exist_ok=True)
    for old in PICTURES.glob("*.svg"):
        if old.name not in pictures():
            old.unlink()
    for name, svg in pictures().items():
        (PICTURES / name).write_text(svg, "utf-8")
    PAGE.write_text(page(), "utf-8")
    print(f"{PAGE}: {len(pictures())} pictures")
