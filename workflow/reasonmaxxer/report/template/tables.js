// Tables that are wider than their place say so.
const sizes = new ResizeObserver((entries) => {
  for (const { target } of entries) target.toggleAttribute("data-scrolls", target.scrollWidth > target.clientWidth);
});
for (const place of document.querySelectorAll(".scroll")) sizes.observe(place);
