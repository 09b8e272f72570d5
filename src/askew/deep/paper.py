"""Paper: where a method was published, and how to cite it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Paper:
    """One publication.

    Parameters
    ----------
    key
        Of the BibTeX entry.
    authors
        Each as "Family, Given".
    title
        Without a final stop; braces keep capitals in BibTeX.
    venue
        Conference, journal or archive.
    year
        Of publication.
    kind
        Of the BibTeX entry.
    link
        An address, or empty.

    Examples
    --------
    >>> paper = Paper("doe2020", ("Doe, Jane", "Roe, Ann"), "On Rows", "Proc. of ICLR", 2020)
    >>> paper.short
    'Doe and Roe 2020'
    >>> print(paper.bibtex())
    @inproceedings{doe2020,
      author = {Doe, Jane and Roe, Ann},
      title = {On Rows},
      booktitle = {Proc. of ICLR},
      year = {2020},
    }
    """

    key: str
    authors: tuple[str, ...]
    title: str
    venue: str
    year: int
    kind: Literal["inproceedings", "article", "misc"] = "inproceedings"
    link: str = ""

    @property
    def short(self) -> str:
        """Give family names and year, as in a text."""
        names = [author.split(",")[0] for author in self.authors]
        who = " and ".join(names) if len(names) < 3 else f"{names[0]} et al."
        return f"{who} {self.year}"

    def bibtex(self) -> str:
        """Give the BibTeX entry."""
        where = {"inproceedings": "booktitle", "article": "journal", "misc": "howpublished"}
        fields = {
            "author": " and ".join(self.authors),
            "title": self.title,
            where[self.kind]: self.venue,
            "year": str(self.year),
        }
        if self.link:
            fields["url"] = self.link
        lines = "".join(f"  {name} = {{{value}}},\n" for name, value in fields.items())
        return f"@{self.kind}{{{self.key},\n{lines}}}"
