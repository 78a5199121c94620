import starlight from '@astrojs/starlight';
import { defineConfig, passthroughImageService } from 'astro/config';

export default defineConfig({
  // Pictures are vector graphics or drawn by the pages; nothing is converted.
  image: { service: passthroughImageService() },
  integrations: [
    starlight({
      title: 'pinfold',
      description: "An executable, page-exact model of Linux's VFIO type1 DMA mapping",
      components: {
        MarkdownContent: './src/components/MarkdownContent.astro',
        Search: './src/components/Search.astro',
      },
      customCss: ['./src/styles/site.css'],
      sidebar: [
        { label: 'What it is', link: '/' },
        { label: 'Interactive', items: [{ autogenerate: { directory: 'interactive' } }] },
        { label: 'Guide', items: [{ autogenerate: { directory: 'guide' } }] },
        {
          label: 'Reference',
          items: [
            ...['reference/cli', 'reference/language', 'reference/own-algorithm'],
            { label: 'Packages', items: [{ autogenerate: { directory: 'reference/api' } }] },
            {
              label: 'Facts about the kernel',
              collapsed: true,
              items: [{ autogenerate: { directory: 'reference/kernel' } }],
            },
          ],
        },
        { label: 'Results', items: [{ autogenerate: { directory: 'results' } }] },
      ],
    }),
  ],
});
